from tests.support.installation import installation, shared_installation

__all__ = ["installation", "shared_installation"]
