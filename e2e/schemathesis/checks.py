"""What the description of the gateway promises beside the shape of requests and replies."""

import schemathesis
from schemathesis.core.failures import Failure

# Other methods than those described: etcd's gateway answers 501, not 405.
DESCRIBED_METHODS = {"POST"}
# The parser's own texts begin so. A request that fits the description is none that the parser refuses.
PARSERS_WORDS = "proto:"
# A pattern of digits can't say where 64 bits end; the description does, by `format`.
TOO_LONG = ("number too large", "number too small")
# An enum's number is refused when it is written as `1.0`, which is an integer to JSON Schema.
WITH_FRACTION = "expected a string or integer"


def found(case, title, message):
    return Failure(operation=case.operation.label, title=title, message=message)


@schemathesis.check
def another_method_is_answered_with_501(ctx, response, case):
    method = response.request.method
    # OPTIONS asks what pages of other origins may do, and every path answers it.
    if method in DESCRIBED_METHODS | {"OPTIONS"}:
        return
    if response.status_code != 501:
        raise found(case, "Undescribed method", f"{method} was answered with {response.status_code}, not with 501")


@schemathesis.check
def server_errors_are_described(ctx, response, case):
    """`default` describes no failure of the server: what it is for is a bug."""
    if response.request.method not in DESCRIBED_METHODS or response.status_code < 500:
        return
    if str(response.status_code) not in case.operation.definition.raw["responses"]:
        raise found(case, "Server error", f"{response.status_code} is not described: {response.text}")


@schemathesis.check
def what_fits_the_description_is_a_request(ctx, response, case):
    """Whether it can be done depends on what is there: only the parser must take it."""
    if response.request.method not in DESCRIBED_METHODS or not case.meta.generation.mode.is_positive:
        return
    text = response.text
    if response.status_code != 400 or PARSERS_WORDS not in text or any(words in text for words in (*TOO_LONG, WITH_FRACTION)):
        return
    raise found(case, "Refused by the parser", text)
