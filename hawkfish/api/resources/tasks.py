"""TaskService, its Tasks, and the monitors that give the final answers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import falcon

from hawkfish.api import links
from hawkfish.api.accepted import raise_if_failed, send_running
from hawkfish.api.documents import Document, dump, send
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Address, Collection, Resource, Singleton
from hawkfish.api.resources.hosts import host_document
from hawkfish.api.resources.systems_body import screenshot_uri, serial_log_document, system_document
from hawkfish.api.resources.tasks_body import task_document
from hawkfish.api.schemas.actions import CancelTaskSchema
from hawkfish.domain.accounts import Actor
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.domain.tasks import Task

MINUTES_A_DAY = 24 * 60


class TaskServiceResource(Singleton):
    """/redfish/v1/TaskService."""

    def document(self) -> Document:
        """The service."""
        body: dict[str, Any] = {
            "@odata.id": links.TASK_SERVICE,
            "@odata.type": "#TaskService.v1_3_0.TaskService",
            "Id": "TaskService",
            "Name": "Task service",
            "ServiceEnabled": True,
            "Status": {"State": "Enabled", "Health": "OK"},
            "CompletedTaskOverWritePolicy": "Oldest",
            "LifeCycleEventOnTaskStateChange": False,
            "TaskAutoDeleteTimeoutMinutes": self.application.settings.task_retention_days * MINUTES_A_DAY,
            "Tasks": {"@odata.id": links.TASKS},
        }
        return Document(body)


class TasksResource(Collection[Task]):
    """/redfish/v1/TaskService/Tasks."""

    path = links.TASKS
    kind = "TaskCollection"
    title = "Tasks"

    key_type = int

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Task]:
        """The tasks, newest first."""
        return self.application.tasks.page(actor, wanted)

    def key(self, item: Task) -> int:
        """Its number, the highest first."""
        return -item.number

    def document(self, item: Task) -> Document:
        """One task."""
        return task_document(item)


class TaskResource(Resource):
    """One task."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Shows the task."""
        send(req, resp, task_document(offload(self.application.tasks.get, req.context.actor, task_id)))


class TaskCancelResource(Resource):
    """The action that stops a task and undoes what it did."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Asks for it; the task shows when it is done."""
        CancelTaskSchema.read(self.read(req, optional=True))
        task = offload(self.application.tasks.cancel, req.context.actor, task_id)
        if task.ended:
            resp.status = 204
        else:
            send_running(resp, task)


class TaskMonitorResource(Resource):
    """What a 202 points to: 202 while the task runs, afterwards the answer that the request would have had."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Answers for the task."""
        actor = req.context.actor
        task = offload(self.application.tasks.get, actor, task_id)
        if not task.ended:
            send_running(resp, task)
            return
        raise_if_failed(self.application, task)
        created = offload(self._created, actor, task)
        if created is not None:
            resp.set_header("Location", created.body["@odata.id"])
            send(req, resp, created, 201)
        elif image := screenshot_uri(task):
            resp.data = dump({"ImageURI": image})
        elif task.kind == "system.update":
            system_id = UUID(task.arguments["system_id"])
            send(req, resp, system_document(offload(self.application.systems.get, actor, system_id)))
        elif task.kind == "system.read-serial-log":
            send(req, resp, serial_log_document(task))
        else:
            resp.status = 204

    def on_delete(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Asks for the task to be stopped and undone."""
        task = offload(self.application.tasks.cancel, req.context.actor, task_id)
        if task.ended:
            resp.status = 204
        else:
            send_running(resp, task)

    def _created(self, actor: Actor, task: Task) -> Document | None:
        if task.kind == "system.create":
            return system_document(self.application.systems.get(actor, UUID(task.arguments["system_id"])))
        if task.kind == "host.add":
            return host_document(self.application.hosts.room(actor, UUID(task.arguments["host_id"])))
        return None
