"""The process that runs tasks, dispatches events and watches hosts."""
