"""The WSGI application for gunicorn, set up from the environment (HF_*).

gunicorn -k geventwebsocket.gunicorn.workers.GeventWebSocketWorker hawkfish.api.wsgi:app
"""

from __future__ import annotations

from hawkfish import logs
from hawkfish.api.app import create_app
from hawkfish.bootstrap import Application
from hawkfish.config import load_settings

_settings = load_settings()
logs.configure(log_format=_settings.log_format, level=_settings.log_level)
app = create_app(Application.open(_settings))
