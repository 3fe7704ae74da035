"""The Falcon application: which resource answers where."""

from __future__ import annotations

from typing import Any

import falcon
from falcon.routing import CompiledRouter

from hawkfish.api import links
from hawkfish.api.errors import ProtocolError, handle_error, shown
from hawkfish.api.middleware.authentication import Authentication
from hawkfish.api.middleware.logs import RequestLog
from hawkfish.api.middleware.protocol import Protocol
from hawkfish.api.resources import (
    accounts,
    audit,
    bios,
    boot_options,
    ethernet_interfaces,
    events,
    hosts,
    images,
    log_services,
    manager_network,
    managers,
    memory,
    operations,
    plugins,
    processors,
    profiles,
    schemas,
    secure_boot,
    service_root,
    sessions,
    storage,
    streams,
    systems,
    tasks,
    virtual_media,
)
from hawkfish.api.resources.base import Resource
from hawkfish.api.shapes import Reader
from hawkfish.bootstrap import Application

SYSTEM_DRIVE = f"{links.SYSTEMS}/{{system_id}}/VirtualMedia/{{drive_id}}"
MANAGER_DRIVE = f"{links.MANAGERS}/{{system_id}}/VirtualMedia/{{drive_id}}"

ROUTES: dict[str, type[Resource]] = {
    "/redfish": service_root.VersionsResource,
    "/redfish/v1": service_root.ServiceRootResource,
    "/redfish/v1/odata": service_root.ODataResource,
    "/redfish/v1/$metadata": service_root.MetadataResource,
    links.SYSTEMS: systems.SystemCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}": systems.SystemResource,
    f"{links.SYSTEMS}/{{system_id}}/Actions/ComputerSystem.Reset": systems.SystemResetResource,
    f"{links.SYSTEMS}/{{system_id}}/Actions/ComputerSystem.SetDefaultBootOrder": systems.SystemDefaultBootOrderResource,
    f"{links.SYSTEMS}/{{system_id}}/Actions/Oem/HawkFishSystem.Screenshot": systems.SystemScreenshotResource,
    f"{links.SYSTEMS}/{{system_id}}/Oem/HawkFish/Screenshots/{{screenshot_id}}": systems.ScreenshotResource,
    f"{links.SYSTEMS}/{{system_id}}/Oem/HawkFish/SerialLog": systems.SerialLogResource,
    f"{links.SYSTEMS}/{{system_id}}/Bios": bios.BiosResource,
    f"{links.SYSTEMS}/{{system_id}}/Bios/Settings": bios.BiosSettingsResource,
    f"{links.SYSTEMS}/{{system_id}}/Bios/Actions/Bios.ResetBios": bios.BiosResetResource,
    f"{links.SYSTEMS}/{{system_id}}/SecureBoot": secure_boot.SecureBootResource,
    f"{links.SYSTEMS}/{{system_id}}/SecureBoot/Actions/SecureBoot.ResetKeys": secure_boot.ResetKeysResource,
    f"{links.SYSTEMS}/{{system_id}}/Processors": processors.ProcessorCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/Processors/{{processor_id}}": processors.ProcessorResource,
    f"{links.SYSTEMS}/{{system_id}}/Memory": memory.MemoryCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/Memory/{{memory_id}}": memory.MemoryResource,
    f"{links.SYSTEMS}/{{system_id}}/BootOptions": boot_options.BootOptionCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/BootOptions/{{option_id}}": boot_options.BootOptionResource,
    f"{links.SYSTEMS}/{{system_id}}/EthernetInterfaces": ethernet_interfaces.EthernetInterfaceCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/EthernetInterfaces/{{interface_id}}": ethernet_interfaces.EthernetInterfaceResource,
    f"{links.SYSTEMS}/{{system_id}}/Storage": storage.StorageCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/Storage/{{storage_id}}": storage.StorageResource,
    f"{links.SYSTEMS}/{{system_id}}/Storage/{{storage_id}}/Controllers": storage.StorageControllerCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/Storage/{{storage_id}}/Controllers/{{controller_id}}": storage.StorageControllerResource,
    f"{links.SYSTEMS}/{{system_id}}/Storage/{{storage_id}}/Volumes": storage.VolumeCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/LogServices": log_services.LogServiceCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/LogServices/{{log_id}}": log_services.LogServiceResource,
    f"{links.SYSTEMS}/{{system_id}}/LogServices/{{log_id}}/Actions/LogService.ClearLog": log_services.ClearLogResource,
    f"{links.SYSTEMS}/{{system_id}}/LogServices/{{log_id}}/Entries": log_services.LogEntryCollectionResource,
    f"{links.SYSTEMS}/{{system_id}}/LogServices/{{log_id}}/Entries/{{entry_id}}": log_services.LogEntryResource,
    f"{links.SYSTEMS}/{{system_id}}/VirtualMedia": virtual_media.VirtualMediaCollectionResource,
    SYSTEM_DRIVE: virtual_media.VirtualMediaResource,
    f"{SYSTEM_DRIVE}/Actions/VirtualMedia.InsertMedia": virtual_media.InsertMediaResource,
    f"{SYSTEM_DRIVE}/Actions/VirtualMedia.EjectMedia": virtual_media.EjectMediaResource,
    links.MANAGERS: managers.ManagerCollectionResource,
    f"{links.MANAGERS}/{{system_id}}": managers.ManagerResource,
    f"{links.MANAGERS}/{{system_id}}/Actions/Manager.Reset": managers.ManagerResetResource,
    f"{links.MANAGERS}/{{system_id}}/EthernetInterfaces": manager_network.ManagerInterfaceCollectionResource,
    f"{links.MANAGERS}/{{system_id}}/EthernetInterfaces/{{interface_id}}": manager_network.ManagerInterfaceResource,
    f"{links.MANAGERS}/{{system_id}}/NetworkProtocol": manager_network.ManagerNetworkProtocolResource,
    f"{links.MANAGERS}/{{system_id}}/LogServices": log_services.ManagerLogServiceCollectionResource,
    f"{links.MANAGERS}/{{system_id}}/LogServices/{{log_id}}": log_services.ManagerLogServiceResource,
    f"{links.MANAGERS}/{{system_id}}/LogServices/{{log_id}}/Actions/LogService.ClearLog": log_services.ManagerClearLogResource,
    f"{links.MANAGERS}/{{system_id}}/LogServices/{{log_id}}/Entries": log_services.ManagerLogEntryCollectionResource,
    f"{links.MANAGERS}/{{system_id}}/LogServices/{{log_id}}/Entries/{{entry_id}}": log_services.ManagerLogEntryResource,
    f"{links.MANAGERS}/{{system_id}}/VirtualMedia": virtual_media.ManagerVirtualMediaCollectionResource,
    MANAGER_DRIVE: virtual_media.ManagerVirtualMediaResource,
    f"{MANAGER_DRIVE}/Actions/VirtualMedia.InsertMedia": virtual_media.ManagerInsertMediaResource,
    f"{MANAGER_DRIVE}/Actions/VirtualMedia.EjectMedia": virtual_media.ManagerEjectMediaResource,
    links.CHASSIS: managers.ChassisCollectionResource,
    f"{links.CHASSIS}/{{system_id}}": managers.ChassisResource,
    f"{links.CHASSIS}/{{system_id}}/Drives": storage.DriveCollectionResource,
    f"{links.CHASSIS}/{{system_id}}/Drives/{{drive_id}}": storage.DriveResource,
    links.JSON_SCHEMAS: schemas.SchemaFileCollectionResource,
    f"{links.JSON_SCHEMAS}/{{schema}}": schemas.SchemaFileResource,
    f"{links.JSON_SCHEMAS}/{{schema}}/{{file}}": schemas.JsonSchemaResource,
    f"{links.SCHEMAS}/{{file}}": schemas.CsdlResource,
    links.REGISTRIES: schemas.RegistryCollectionResource,
    f"{links.REGISTRIES}/{{registry}}": schemas.RegistryResource,
    f"{links.REGISTRIES}/{{registry}}/{{file}}": schemas.RegistryFileResource,
    links.SESSION_SERVICE: sessions.SessionServiceResource,
    links.SESSIONS: sessions.SessionsResource,
    f"{links.SESSIONS}/Members": sessions.SessionsResource,
    f"{links.SESSIONS}/{{session_id}}": sessions.SessionResource,
    links.ACCOUNT_SERVICE: accounts.AccountServiceResource,
    links.ACCOUNTS: accounts.AccountsResource,
    f"{links.ACCOUNTS}/Members": accounts.AccountsResource,
    f"{links.ACCOUNTS}/{{account_id}}": accounts.AccountResource,
    links.ROLES: accounts.RolesResource,
    f"{links.ROLES}/{{role_id}}": accounts.RoleResource,
    links.EVENT_SERVICE: events.EventServiceResource,
    f"{links.EVENT_SERVICE}/Actions/EventService.SubmitTestEvent": events.SubmitTestEventResource,
    links.STREAM: streams.StreamResource,
    links.SUBSCRIPTIONS: events.SubscriptionCollectionResource,
    f"{links.SUBSCRIPTIONS}/Members": events.SubscriptionCollectionResource,
    f"{links.SUBSCRIPTIONS}/{{subscription_id}}": events.SubscriptionResource,
    f"{links.SUBSCRIPTIONS}/{{subscription_id}}/Actions/EventDestination.SuspendSubscription": events.SuspendResource,
    f"{links.SUBSCRIPTIONS}/{{subscription_id}}/Actions/EventDestination.ResumeSubscription": events.ResumeResource,
    f"{links.SUBSCRIPTIONS}/{{subscription_id}}/Actions/Oem/HawkFishEventDestination.Redeliver": events.RedeliverResource,
    f"{links.SUBSCRIPTIONS}/{{subscription_id}}/Oem/HawkFish/Deliveries": events.DeliveryCollectionResource,
    f"{links.SUBSCRIPTIONS}/{{subscription_id}}/Oem/HawkFish/Deliveries/{{delivery_id}}": events.DeliveryResource,
    links.TASK_SERVICE: tasks.TaskServiceResource,
    links.TASKS: tasks.TasksResource,
    f"{links.TASKS}/{{task_id}}": tasks.TaskResource,
    f"{links.TASKS}/{{task_id}}/Actions/Oem/HawkFishTask.Cancel": tasks.TaskCancelResource,
    f"{links.TASKS}/{{task_id}}/Actions/HawkFishTask.Cancel": tasks.TaskCancelResource,
    f"{links.TASK_MONITORS}/{{task_id}}": tasks.TaskMonitorResource,
    links.HOSTS: hosts.HostCollectionResource,
    f"{links.HOSTS}/{{host_id}}": hosts.HostResource,
    f"{links.HOSTS}/{{host_id}}/Actions/HawkFishHost.Forget": hosts.HostForgetResource,
    links.POOLS: hosts.PoolCollectionResource,
    f"{links.POOLS}/{{pool_id}}": hosts.PoolResource,
    "/healthz": operations.HealthResource,
    "/readyz": operations.ReadyResource,
    "/metrics": operations.MetricsResource,
    links.AUDIT: audit.AuditCollectionResource,
    f"{links.AUDIT}/{{record_id}}": audit.AuditRecordResource,
    links.IMAGES: images.ImageCollectionResource,
    f"{links.IMAGES}/Actions/HawkFishImageCollection.Prune": images.ImagePruneResource,
    f"{links.IMAGES}/{{image_id}}": images.ImageResource,
    f"{links.IMAGES}/{{image_id}}/Content": images.ImageContentResource,
    links.PROFILES: profiles.ProfileCollectionResource,
    f"{links.PROFILES}/{{profile_id}}": profiles.ProfileResource,
    links.PLUGINS: plugins.PluginCollectionResource,
    f"{links.PLUGINS}/{{plugin_id}}": plugins.PluginResource,
    f"{links.PLUGINS}/{{plugin_id}}/Schemas/{{file}}": plugins.PluginSchemaResource,
}


def create_app(application: Application) -> falcon.App[falcon.Request, falcon.Response]:
    """Makes the WSGI application.

    Args:
        application: The services; tests may give a stand-in.
    """
    router = CompiledRouter()
    app = falcon.App(router=router)
    middleware: list[Any] = [RequestLog(), Protocol(Reader(app, router)), Authentication(application)]
    app.add_middleware(middleware)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    app.req_options.auto_parse_qs_csv = False
    app.resp_options.secure_cookies_by_default = True
    for path, resource in ROUTES.items():
        app.add_route(path, resource(application))
    app.add_sink(_missing, "/")
    # Falcon has a handler of its own for its errors, which that for all exceptions does not replace.
    app.add_error_handler(falcon.HTTPError, handle_error)
    app.add_error_handler(Exception, handle_error)
    return app


def _missing(req: falcon.Request, resp: falcon.Response, **kwargs: Any) -> None:  # noqa: ARG001  falcon's form
    """Whatever no route answers."""
    path = shown(req.path)
    raise ProtocolError(404, "ResourceMissingAtURI", path, text=f"There is nothing at {path}; begin at {links.ROOT}.")
