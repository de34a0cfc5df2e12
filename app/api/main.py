"""The application object, made from the environment: `uvicorn app.api.main:app`."""

from app.api.application import create_app
from app.database_url import ConfigurationError
from app.settings import exit_with, get_settings

try:
    app = create_app(get_settings())
except ConfigurationError as error:
    exit_with(error)
