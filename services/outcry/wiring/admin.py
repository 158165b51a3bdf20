"""The admin port of a role's process."""

from collections.abc import Awaitable, Callable, Sequence

from outcry.roles.admin.port import AdminPort, AdminServer, Identity, Route
from outcry.roles.api.server import bound_socket
from outcry.settings import ClusterSettings
from outcry.telemetry import Telemetry

Cause = Callable[[], str]  # why something is not so, "" where it is


def identity_of(settings: ClusterSettings) -> Identity:
    """What Kubernetes calls this pod."""
    return Identity(settings.pod, settings.pod_uid, settings.track, settings.revision)


def admin_role(
    settings: ClusterSettings, routes: Sequence[Route], telemetry: Telemetry, *, is_ready: Cause,
    is_alive: Cause = lambda: "",
) -> Callable[[], Awaitable[None]]:  # fmt: skip
    """A role for the crew that serves the port. Binds it at once. Raises OutOfService where it is taken."""
    listener = bound_socket(settings.admin_host, settings.admin_port)
    port = AdminPort(
        routes, telemetry=telemetry, token_file=settings.admin_token_file, is_alive=is_alive, is_ready=is_ready
    )

    async def serve() -> None:
        await AdminServer(port).serve(sockets=[listener])

    return serve
