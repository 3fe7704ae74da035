from hawkfish.plugins import hookimpl
from hawkfish.plugins.quota import QuotaChecker
from hawkfish.plugins.records import QuotaCheckerPlugin

HAWKFISH_PLUGIN_API = 1


class Raising(QuotaChecker):
    def check(self, request):
        raise ZeroDivisionError("secret details of the checker")


@hookimpl
def hawkfish_quota_checkers():
    yield QuotaCheckerPlugin(name="raising-checker", factory=lambda context: Raising())
