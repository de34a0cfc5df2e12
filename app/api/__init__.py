"""The API of tasks and conversations: HTTP in front of the data access. The application object is `app.api.main:app`."""
