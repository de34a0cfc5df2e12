"""The tasks API: HTTP in front of the data access. The application object is `app.api.main:app`."""
