"""The revisions; each is one transaction. Released ones are never changed."""
