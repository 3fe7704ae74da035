"""The WSGI application for gunicorn, set up from the environment (HF_*).

gunicorn -k geventwebsocket.gunicorn.workers.GeventWebSocketWorker hawkfish.api.wsgi:app
"""

from __future__ import annotations

from hawkfish.api.native_locks import load_with_native_locks

load_with_native_locks()

from hawkfish import logs  # noqa: E402  SQLAlchemy must be there first
from hawkfish.api.app import create_app  # noqa: E402
from hawkfish.bootstrap import Application  # noqa: E402
from hawkfish.config import load_settings  # noqa: E402
from hawkfish.locks import native_locks  # noqa: E402

_settings = load_settings()
logs.configure(log_format=_settings.log_format, level=_settings.log_level)
with native_locks():  # what the services share between threads
    _application = Application.open(_settings)
app = create_app(_application)
