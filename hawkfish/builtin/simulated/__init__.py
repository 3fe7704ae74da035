"""An honest hypervisor without a hypervisor: everything works, nothing is executed, and it always says so.

Machines live in a process of their own (`server`), which remembers them in a state file; the `driver` is a thin client. Killing
the process is like a crash of a hypervisor's manager: machines go on running as facts of the clock, and whatever was due in
between has happened when the process is back.
"""
