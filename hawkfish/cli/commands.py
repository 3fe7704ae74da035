"""Every command of core: its words, and where its class is.

A module is imported when its command runs or help is asked for, so it imports what is heavy (httpx, rich, gunicorn, a database)
where it uses it. The first line of the class's docstring is the line that `hawkfish --help` shows.
"""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "login": "hawkfish.cli.login:Login",
    "logout": "hawkfish.cli.login:Logout",
    "context ls": "hawkfish.cli.context:ListContexts",
    "context use": "hawkfish.cli.context:UseContext",
    "context rm": "hawkfish.cli.context:RemoveContext",
    "systems ls": "hawkfish.cli.systems:ListSystems",
    "systems show": "hawkfish.cli.systems:ShowSystem",
    "systems create": "hawkfish.cli.systems_create:CreateSystem",
    "systems set": "hawkfish.cli.systems:SetSystem",
    "systems rm": "hawkfish.cli.systems:RemoveSystems",
    "systems on": "hawkfish.cli.systems_power:SystemsOn",
    "systems off": "hawkfish.cli.systems_power:SystemsOff",
    "systems reset": "hawkfish.cli.systems_power:ResetSystems",
    "systems boot": "hawkfish.cli.systems_power:BootSystem",
    "systems screenshot": "hawkfish.cli.systems_screen:Screenshot",
    "systems log": "hawkfish.cli.systems_screen:SerialLog",
    "hosts ls": "hawkfish.cli.hosts:ListHosts",
    "hosts show": "hawkfish.cli.hosts:ShowHost",
    "hosts add": "hawkfish.cli.hosts:AddHost",
    "hosts set": "hawkfish.cli.hosts:SetHost",
    "hosts rm": "hawkfish.cli.hosts:RemoveHosts",
    "pools ls": "hawkfish.cli.pools:ListPools",
    "pools set": "hawkfish.cli.pools:SetPool",
    "images ls": "hawkfish.cli.images:ListImages",
    "images show": "hawkfish.cli.images:ShowImage",
    "images add": "hawkfish.cli.images:AddImage",
    "images rm": "hawkfish.cli.images:RemoveImages",
    "images prune": "hawkfish.cli.images:PruneImages",
    "profiles ls": "hawkfish.cli.profiles:ListProfiles",
    "profiles show": "hawkfish.cli.profiles:ShowProfile",
    "profiles create": "hawkfish.cli.profiles:CreateProfile",
    "profiles set": "hawkfish.cli.profiles:SetProfile",
    "profiles rm": "hawkfish.cli.profiles:RemoveProfiles",
    "tasks ls": "hawkfish.cli.tasks:ListTasks",
    "tasks show": "hawkfish.cli.tasks:ShowTask",
    "tasks wait": "hawkfish.cli.tasks:WaitTask",
    "tasks cancel": "hawkfish.cli.tasks:CancelTask",
    "audit ls": "hawkfish.cli.audit:ListAudit",
    "users ls": "hawkfish.cli.users:ListUsers",
    "users show": "hawkfish.cli.users:ShowUser",
    "users create": "hawkfish.cli.users:CreateUser",
    "users set": "hawkfish.cli.users:SetUser",
    "users passwd": "hawkfish.cli.users:SetPassword",
    "users rm": "hawkfish.cli.users:RemoveUsers",
    "plugins ls": "hawkfish.cli.plugins:ListPlugins",
    "plugins show": "hawkfish.cli.plugins:ShowPlugin",
    "admin db upgrade": "hawkfish.cli.admin:UpgradeDatabase",
    "admin db check": "hawkfish.cli.admin:CheckDatabase",
    "doctor": "hawkfish.cli.doctor:Doctor",
    "completion": "hawkfish.cli.completion:Completion",
    "serve": "hawkfish.cli.serve:Serve",
    "api": "hawkfish.cli.serve:Api",
    "worker": "hawkfish.cli.serve:Worker",
    "simulator": "hawkfish.cli.serve:Simulator",
}

ALIASES = {f"{words.removesuffix(' ls')} list": words for words in COMMANDS if words.endswith(" ls")}
"""Other words for the same command; help does not list them."""
