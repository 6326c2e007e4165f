"""The dashboard at ``/dashboard``: pages that a browser shows, served by the node itself.

``static/`` is what the browser gets, as it lies there: ES modules, style sheets, one page. Nothing is built,
and no request of it leaves the node; it knows the node through the public REST API alone. ``files`` finds
what is served (ours, or the folder an operator configured in its place), ``routes`` serves it.
May not live here: endpoints that only the dashboard would use.
"""

from router.dashboard.files import StaticFiles, bundled, configured
from router.dashboard.routes import dashboard_routes

__all__ = ["StaticFiles", "bundled", "configured", "dashboard_routes"]
