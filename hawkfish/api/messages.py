"""The standard messages that answers of this service bear; those of events are in `hawkfish.events.texts`.

The sentences are those of DMTF's message registry Base 1.22 (BSD 3-Clause, Copyright 2014-2025 DMTF); the registry itself is referred
to, never served. A test compares every entry with it.
"""

# ruff: noqa: E501  the registries' own sentences

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hawkfish.events.texts import TASK_MESSAGES, Message, fill

BASE = "Base.1.22"


BASE_MESSAGES: dict[str, Message] = {
    "Success": Message("The request completed successfully.", "OK", "None."),
    "GeneralError": Message(
        "A general error has occurred.  See Resolution for information on how to resolve the error, or @Message.ExtendedInfo if Resolution is not provided.",
        "Critical",
        "None.",
    ),
    "NoOperation": Message(
        "The request body submitted contain no data to act upon and no changes to the resource took place.",
        "Warning",
        "Add properties in the JSON object and resubmit the request.",
    ),
    "PropertyDuplicate": Message(
        "The property %1 was duplicated in the request.",
        "Warning",
        "Remove the duplicate property from the request body and resubmit the request if the operation failed.",
        1,
    ),
    "PropertyUnknown": Message(
        "The property %1 is not in the list of valid properties for the resource.",
        "Warning",
        "Remove the unknown property from the request body and resubmit the request if the operation failed.",
        1,
    ),
    "PropertyValueTypeError": Message(
        "The value '%1' for the property %2 is not a type that the property can accept.",
        "Warning",
        "Correct the value for the property in the request body and resubmit the request if the operation failed.",
        2,
    ),
    "PropertyValueFormatError": Message(
        "The value '%1' for the property %2 is not a format that the property can accept.",
        "Warning",
        "Correct the value for the property in the request body and resubmit the request if the operation failed.",
        2,
    ),
    "PropertyValueNotInList": Message(
        "The value '%1' for the property %2 is not in the list of acceptable values.",
        "Warning",
        "Choose a value from the enumeration list that the implementation can support and resubmit the request if the operation failed.",
        2,
    ),
    "PropertyValueOutOfRange": Message(
        "The value '%1' for the property %2 is not in the supported range of acceptable values.",
        "Warning",
        "Correct the value for the property in the request body and resubmit the request if the operation failed.",
        2,
    ),
    "PropertyValueError": Message(
        "The value provided for the property %1 is not valid.",
        "Warning",
        "Correct the value for the property in the request body and resubmit the request if the operation failed.",
        1,
    ),
    "PropertyNotWritable": Message(
        "The property %1 is a read-only property and cannot be assigned a value.",
        "Warning",
        "Remove the property from the request body and resubmit the request if the operation failed.",
        1,
    ),
    "PropertyMissing": Message(
        "The property %1 is a required property and must be included in the request.",
        "Warning",
        "Ensure that the property is in the request body and has a valid value and resubmit the request if the operation failed.",
        1,
    ),
    "PropertyValueIncorrect": Message(
        "The property '%1' with the requested value of '%2' could not be written because the value is not acceptable for the property.",
        "Warning",
        "None.",
        2,
    ),
    "MalformedJSON": Message(
        "The request body submitted was malformed JSON and could not be parsed by the receiving service.",
        "Critical",
        "Ensure that the request body is valid JSON and resubmit the request.",
    ),
    "ActionNotSupported": Message(
        "The action %1 is not supported by the resource.",
        "Critical",
        "Check the Actions property in the resource for the supported actions.",
        1,
    ),
    "ActionParameterMissing": Message(
        "The action %1 requires the parameter %2 to be present in the request body.",
        "Critical",
        "Supply the action with the required parameter in the request body when the request is resubmitted.",
        2,
    ),
    "ActionParameterUnknown": Message(
        "The action %1 was submitted with the invalid parameter %2.",
        "Warning",
        "Correct the invalid action parameter and resubmit the request if the operation failed.",
        2,
    ),
    "ActionParameterValueTypeError": Message(
        "The value '%1' for the parameter %2 in the action %3 is not a type that the parameter can accept.",
        "Warning",
        "Correct the value for the parameter in the request body and resubmit the request if the operation failed.",
        3,
    ),
    "ActionParameterValueFormatError": Message(
        "The value '%1' for the parameter %2 in the action %3 is not a format that the parameter can accept.",
        "Warning",
        "Correct the value for the parameter in the request body and resubmit the request if the operation failed.",
        3,
    ),
    "ActionParameterValueNotInList": Message(
        "The value '%1' for the parameter %2 in the action %3 is not in the list of acceptable values.",
        "Warning",
        "Choose a value from the enumeration list that the implementation can support and resubmit the request if the operation failed.",
        3,
    ),
    "ActionParameterValueOutOfRange": Message(
        "The value '%1' for the parameter %2 in the action %3 is not in the supported range of acceptable values.",
        "Warning",
        "Correct the value for the parameter in the request body and resubmit the request if the operation failed.",
        3,
    ),
    "ActionParameterValueError": Message(
        "The value for the parameter %1 in the action %2 is invalid.",
        "Warning",
        "Correct the value for the parameter in the request body and resubmit the request if the operation failed.",
        2,
    ),
    "QueryParameterValueFormatError": Message(
        "The value '%1' for the parameter %2 is not a format that the parameter can accept.",
        "Warning",
        "Correct the value for the query parameter in the request and resubmit the request if the operation failed.",
        2,
    ),
    "QueryNotSupportedOnResource": Message(
        "Querying is not supported on the requested resource.",
        "Warning",
        "Remove the query parameters and resubmit the request if the operation failed.",
    ),
    "QueryNotSupportedOnOperation": Message(
        "Querying is not supported with the requested operation.",
        "Warning",
        "Remove the query parameters and resubmit the request if the operation failed.",
    ),
    "QueryParameterUnsupported": Message(
        "Query parameter '%1' is not supported.",
        "Warning",
        "Correct or remove the query parameter and resubmit the request.",
        1,
    ),
    "QueryCombinationInvalid": Message(
        "Two or more query parameters in the request cannot be used together.",
        "Warning",
        "Remove one or more of the query parameters and resubmit the request if the operation failed.",
    ),
    "SessionLimitExceeded": Message(
        "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the implementation.",
        "Critical",
        "Reduce the number of other sessions before trying to establish the session or increase the limit of simultaneous sessions, if supported.",
    ),
    "ResourceInUse": Message(
        "The change to the requested resource failed because the resource is in use or in transition.",
        "Warning",
        "Remove the condition and resubmit the request if the operation failed.",
    ),
    "ResourceAlreadyExists": Message(
        "The requested resource of type %1 with the property %2 with the value '%3' already exists.",
        "Critical",
        "Do not repeat the create operation as the resource was already created.",
        3,
    ),
    "ResourceNotFound": Message(
        "The requested resource of type %1 named '%2' was not found.",
        "Critical",
        "Provide a valid resource identifier and resubmit the request.",
        2,
    ),
    "ResourceMissingAtURI": Message(
        "The resource at the URI '%1' was not found.",
        "Critical",
        "Place a valid resource at the URI or correct the URI and resubmit the request.",
        1,
    ),
    "ResourceExhaustion": Message(
        "The resource '%1' was unable to satisfy the request due to unavailability of resources.",
        "Critical",
        "Ensure that the resources are available and resubmit the request.",
        1,
    ),
    "PayloadTooLarge": Message(
        "The supplied payload exceeds the maximum size supported by the service.",
        "Critical",
        "Check that the supplied payload is correct and supported by this service.",
    ),
    "InsufficientStorage": Message(
        "Insufficient storage or memory available to complete the request.",
        "Critical",
        "Increase the free storage space available to the service and resubmit the request.",
    ),
    "NoValidSession": Message(
        "There is no valid session established with the implementation.",
        "Critical",
        "Establish a session before attempting any operations.",
    ),
    "InsufficientPrivilege": Message(
        "There are insufficient privileges for the account or credentials associated with the current session to perform the requested operation.",
        "Critical",
        "Either abandon the operation or change the associated access rights and resubmit the request if the operation failed.",
    ),
    "InternalError": Message(
        "The request failed due to an internal service error.  The service is still operational.",
        "Critical",
        "Resubmit the request.  If the problem persists, consider resetting the service.",
    ),
    "ServiceTemporarilyUnavailable": Message(
        "The service is temporarily unavailable.  Retry in %1 seconds.",
        "Critical",
        "Wait for the indicated retry duration and retry the operation.",
        1,
    ),
    "PasswordChangeRequired": Message(
        "The password provided for this account must be changed before access is granted.  PATCH the Password property for this account located at the target URI '%1' to complete this process.",
        "Critical",
        "Change the password for this account using a PATCH to the Password property at the URI provided.",
        1,
    ),
    "PreconditionFailed": Message(
        "The ETag supplied did not match the ETag required to change this resource.",
        "Critical",
        "Try the operation again using the appropriate ETag.",
    ),
    "HeaderInvalid": Message(
        "Header '%1' is invalid.", "Critical", "Resubmit the request with a valid request header.", 1
    ),
    "OperationFailed": Message(
        "An error occurred internal to the service as part of the overall request.  Partial results may have been returned.",
        "Warning",
        "Resubmit the request.  If the problem persists, consider resetting the service or provider.",
    ),
    "OperationTimeout": Message(
        "A timeout internal to the service occurred as part of the request.  Partial results may have been returned.",
        "Warning",
        "Resubmit the request.  If the problem persists, consider resetting the service or provider.",
    ),
    "OperationNotAllowed": Message("The HTTP method is not allowed on this resource.", "Critical", "None."),
}


def render(
    name: str, arguments: Sequence[str] = (), *, registry: str = BASE, text: str | None = None
) -> dict[str, Any]:
    """One entry of `@Message.ExtendedInfo` or of a task's `Messages`.

    Args:
        name: Name of the message in its registry.
        arguments: As many as the message takes.
        registry: `BASE` or `TASK_EVENT`.
        text: A sentence that says more than the registry's own.
    """
    message = (BASE_MESSAGES if registry == BASE else TASK_MESSAGES)[name]
    if len(arguments) != message.arguments:
        raise ValueError(f"{registry}.{name} takes {message.arguments} arguments and was given {len(arguments)}.")
    filled = fill(message.text, arguments)
    return {
        "@odata.type": "#Message.v1_3_0.Message",
        "MessageId": f"{registry}.{name}",
        "Message": text or filled,
        "MessageArgs": list(arguments),
        "Severity": message.severity,
        "MessageSeverity": message.severity,
        # Our own sentences say what to do next; the registry's general advice after them would read as a contradiction.
        "Resolution": message.resolution if text is None else "None.",
    }
