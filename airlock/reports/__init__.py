"""Records to text, Markdown, HTML, SARIF, JUnit and JSON; no database."""
