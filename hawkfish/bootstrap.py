"""The only place that wires settings, database, plugins and services together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from uuid import UUID

from hawkfish.clock import PastClock
from hawkfish.config import Settings, load_settings
from hawkfish.db import Database
from hawkfish.errors import SchemaOutdated
from hawkfish.plugins.context import PluginContext
from hawkfish.plugins.loader import PluginHost
from hawkfish.plugins.secrets import read_secret
from hawkfish.services.access import Access
from hawkfish.services.accounts import AccountService
from hawkfish.services.audit import AuditService
from hawkfish.services.bios import BiosService
from hawkfish.services.deliveries import Deliveries, DeliverySettings
from hawkfish.services.destinations import DestinationPolicy
from hawkfish.services.drivers import DriverPool
from hawkfish.services.events import EventService
from hawkfish.services.health import HealthService
from hawkfish.services.hosts import HostService, HostTasks
from hawkfish.services.image_disks import ImageDisks
from hawkfish.services.image_store import ImageStore
from hawkfish.services.image_tasks import ImageTasks
from hawkfish.services.images import ImageService
from hawkfish.services.logs import LogService
from hawkfish.services.managers import ManagerService
from hawkfish.services.media import MediaService
from hawkfish.services.media_cache import MediaCache
from hawkfish.services.media_files import MediaFiles
from hawkfish.services.media_tasks import MediaTasks
from hawkfish.services.outgoing import tls_context
from hawkfish.services.pictures import PictureTasks
from hawkfish.services.power import PowerTasks
from hawkfish.services.profiles import ProfileService
from hawkfish.services.secret_box import SecretBox
from hawkfish.services.secure_boot import SecureBootService
from hawkfish.services.sessions import SessionService
from hawkfish.services.streams import Outside, StreamService
from hawkfish.services.subscriptions import SubscriptionService
from hawkfish.services.system_batches import SystemBatchTasks
from hawkfish.services.system_tasks import SystemTasks
from hawkfish.services.systems import SystemService
from hawkfish.services.tasks import TaskService
from hawkfish.services.webhooks import Webhooks
from hawkfish.tasks import TaskQueue, TaskRegistry


@dataclass(frozen=True, kw_only=True)
class ServiceInfo:
    """What the service says of itself."""

    installation_id: UUID
    version: str


@dataclass(frozen=True, kw_only=True)
class Application:
    """A wired installation, as the API, the worker and library users get it.

    Example:
        application = Application.open(load_settings(data_dir="/var/lib/hawkfish"))
        systems = application.systems.page(SYSTEM_ACTOR).items
        application.close()
    """

    settings: Settings
    database: Database
    plugins: PluginHost
    registry: TaskRegistry
    queue: TaskQueue
    drivers: DriverPool
    accounts: AccountService
    sessions: SessionService
    audit: AuditService
    systems: SystemService
    hosts: HostService
    bios: BiosService
    secure_boot: SecureBootService
    logs: LogService
    managers: ManagerService
    images: ImageService
    media: MediaService
    profiles: ProfileService
    tasks: TaskService
    events: EventService
    subscriptions: SubscriptionService
    secret_box: SecretBox
    access: Access
    health: HealthService
    service_info: ServiceInfo

    @classmethod
    def open(cls, settings: Settings | None = None) -> Application:
        """Opens an installation whose schema is up to date; no host is reached yet.

        Args:
            settings: Default what the environment and hawkfish.toml say.

        Raises:
            SchemaOutdated: `hawkfish admin db upgrade` is needed.
            PluginError: `strict_plugins` is set and a plugin cannot be loaded.
            ConfigurationError: The file of trusted authorities cannot be used.
        """
        settings = settings or load_settings()
        if settings.trusted_ca_file is not None:
            tls_context(True, settings.trusted_ca_file)
        database = Database(settings.database_url)
        status = database.check()
        if not status.ok:
            database.close()
            raise SchemaOutdated(
                f"The database has schema {status.found or 'none'} and this version needs {status.needed}; "
                "run `hawkfish admin db upgrade`.",
                setting="database_url",
                found=status.found,
                needed=status.needed,
            )
        with database.read() as uow:
            installation_id = uow.accounts.installation_id()
        plugins = PluginHost.load(
            blocked=settings.plugins_blocked,
            strict=settings.strict_plugins,
            settings=settings.plugin_settings,
            context=PluginContext(
                installation_id=str(installation_id),
                data_dir=settings.data_dir,
                call_timeout=settings.driver_timeout,
                read_secret=read_secret,
            ),
        )
        return cls._wire(settings, database, plugins, installation_id)

    @classmethod
    def _wire(cls, settings: Settings, database: Database, plugins: PluginHost, installation_id: UUID) -> Application:
        registry = TaskRegistry()
        audit = AuditService(database, settings)
        accounts = AccountService(database, settings, audit)
        access = Access(settings=settings, database=database, queue=TaskQueue(database, registry), audit=audit)
        drivers = DriverPool(database, plugins)
        store = ImageStore(settings.image_store, reserve_bytes=settings.image_reserve_bytes)
        disks = ImageDisks(access, drivers, store)
        media_store = ImageStore(
            settings.media_cache,
            reserve_bytes=settings.image_reserve_bytes,
            name="media cache",
            remedy="Eject images that are not needed, or give it a larger disk.",
        )
        cache = MediaCache(access, media_store)
        media_files = MediaFiles(database, drivers, plugins, str(installation_id))
        drivers.drives = media_files.drives
        secrets = SecretBox(settings.secret_key)
        for tasks in (
            disks,
            ImageTasks(access, drivers, store),
            SystemTasks(access, drivers, disks, str(installation_id)),
            MediaTasks(access, drivers, cache, media_files, secrets, str(installation_id)),
            SystemBatchTasks(access, drivers, str(installation_id)),
            PowerTasks(access, drivers, str(installation_id)),
            PictureTasks(access, drivers),
            HostTasks(access, drivers),
        ):
            for kind in tasks.kinds():
                registry.register(kind)
        return cls(
            settings=settings,
            database=database,
            plugins=plugins,
            registry=registry,
            queue=access.queue,
            drivers=drivers,
            accounts=accounts,
            sessions=SessionService(database, settings, accounts, audit, ago=PastClock().ago),
            audit=audit,
            systems=SystemService(access),
            hosts=HostService(access, plugins),
            bios=BiosService(access),
            secure_boot=SecureBootService(access),
            logs=LogService(access),
            managers=ManagerService(access),
            images=ImageService(access, store),
            media=MediaService(access, cache, secrets),
            profiles=ProfileService(access),
            tasks=TaskService(access),
            events=EventService(access),
            subscriptions=SubscriptionService(access, secrets),
            secret_box=secrets,
            access=access,
            health=HealthService(access),
            service_info=ServiceInfo(installation_id=installation_id, version=version("hawkfish")),
        )

    def deliveries(self, leads: Callable[[], bool]) -> Deliveries:
        """What delivers events to subscribers, for a worker.

        Args:
            leads: Whether this worker is the one of all that does it.
        """
        settings = self.settings
        policy = DestinationPolicy(settings.events_allowed_networks)
        return Deliveries(
            self.database,
            Webhooks(policy, self.secret_box, settings.event_delivery_seconds, settings.trusted_ca_file),
            self.audit,
            DeliverySettings(
                backlog=settings.event_backlog,
                attempts=settings.event_retry_attempts,
                retry_seconds=settings.event_retry_seconds,
            ),
            leads,
        )

    def streams(self, outside: Outside) -> StreamService:
        """The streams of events that this process sends.

        Args:
            outside: Runs what blocks where it stops no other stream.
        """
        return StreamService(self.access, outside)

    def close(self) -> None:
        """Closes drivers and database; machines are not touched."""
        self.drivers.close()
        self.audit.close()
        self.database.close()
