"""Run apart from pytest: loads whatever is installed and prints what a list of plugins needs."""

import json
import sys
from dataclasses import asdict

import hawkfish
from hawkfish.plugins.loader import PluginHost

if __name__ == "__main__":
    host = PluginHost.load()
    reports = [asdict(report) | {"provides": report.provides} for report in host.reports]
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    answer = {
        "reports": reports,
        "storage_pools": list(host.storage_pools),
        "modules": modules,
        "hawkfish": hawkfish.__file__,
    }
    sys.stdout.write(json.dumps(answer))
