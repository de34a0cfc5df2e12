"""Reports as files: HTML, Markdown, SARIF, JSON, diagrams. Same records in, same bytes out."""
