"""Asks Deodar on behalf of a device, a person and a service.

    python client.py                          # 127.0.0.1:8470
    python client.py unix:/run/deodar.sock

Made from the protos alone, see README.md. The questions are about the world of
the reference policies.
"""

import datetime
import sys

import grpc
from deodar.v1 import authorization_pb2 as authz
from deodar.v1 import authorization_pb2_grpc
from deodar.v1 import value_pb2 as value

# The obligations that this program fulfils. One that is not here means "no".
FULFILLED = {"log-access"}

# Asking again is safe, so a call that met a restarting server is repeated.
SERVICE_CONFIG = """{"methodConfig": [{
    "name": [{"service": "deodar.v1.AuthorizationService"}],
    "retryPolicy": {
        "maxAttempts": 3, "initialBackoff": "0.02s", "maxBackoff": "0.2s",
        "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
    }
}]}"""


def entity(kind, id):
    return value.EntityRef(type=kind, id=id)


def record(**fields):
    return value.Value(record=value.RecordValue(fields=fields))


def question(principal, action, resource, **context):
    return authz.AuthorizeRequest(
        principal=principal,
        action=entity("Iot::Action", action),
        resource=resource,
        context=value.Context(values=context),
    )


def questions():
    """For a device, a person and a service: one that is allowed, one denied."""
    press = entity("Iot::Device", "press-01")
    recorder = entity("Org::Service", "recorder")
    stream = entity("Iot::DataStream", "hh-line-output")
    tls = record(version=value.Value(decimal="1.3"), mutual=value.Value(bool=True))

    # What the enforcement point saw of a person's session ...
    hour_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    at_a_station = record(
        ip=value.Value(ip="10.20.3.4"),
        tls=tls,
        mfa=record(
            method=value.Value(string="webauthn"),
            at=value.Value(datetime_millis=int(hour_ago.timestamp() * 1000)),
        ),
    )
    # ... and of a service's connection.
    in_the_mesh = record(
        tls=tls,
        certificate=record(
            issuer=value.Value(string="mesh-ca"),
            issued_at=value.Value(datetime="2026-11-01T00:00:00Z"),
            not_after=value.Value(datetime="2027-11-01T00:00:00Z"),
        ),
    )

    yield (
        "A press subscribes to its own orders",
        question(press, "subscribe", entity("Iot::Topic", "plant-hamburg/press-01/orders")),
    )
    yield (
        "A sensor that still has its default password publishes",
        question(
            entity("Iot::Device", "vib-02"),
            "publish",
            entity("Iot::Topic", "plant-hamburg/press-01/telemetry"),
        ),
    )
    yield (
        "Anna, an operator, moves the press",
        question(entity("Org::User", "anna"), "command", press, session=at_a_station),
    )
    yield (
        "Eva, who has not been trained for it, moves the press",
        question(entity("Org::User", "eva"), "command", press, session=at_a_station),
    )
    yield (
        "The recorder, with its certificate of the mesh, writes what the line puts out",
        question(recorder, "write", stream, session=in_the_mesh),
    )
    yield (
        "Something that calls itself the recorder writes the same",
        question(recorder, "write", stream),
    )


def show(answer):
    if answer.decision == authz.DECISION_ALLOW:
        print("  decision: allow")
    else:
        cause = authz.DenyCause.Name(answer.cause).removeprefix("DENY_CAUSE_")
        print(f"  decision: deny ({cause.replace('_', ' ').lower()})")
    for policy in answer.policies:
        print(f"  policy:   {policy.id} ({policy.file}:{policy.line})")
        if "reason" in policy.annotations:
            print(f"  reason:   {policy.annotations['reason']}")
    for error in answer.errors:
        print(f"  failed:   {error.policy.id}: {error.message}")
    for advice in answer.advice:
        print(f"  advice:   {advice}")
    for obligation in answer.obligations:
        print(f"  obliges:  {obligation.name} ({obligation.policy_id})")


def may_happen(answer):
    """Allow, and every obligation is one that we fulfil. Anything else is no."""
    return answer.decision == authz.DECISION_ALLOW and all(
        obligation.name in FULFILLED for obligation in answer.obligations
    )


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8470"
    # Connect once and keep the channel: many calls share its connection.
    options = [("grpc.service_config", SERVICE_CONFIG)]
    if address.startswith("unix:"):
        # Else gRPC sends the path as the authority, which HTTP/2 servers refuse.
        options.append(("grpc.default_authority", "localhost"))
    with grpc.insecure_channel(address, options) as channel:
        client = authorization_pb2_grpc.AuthorizationServiceStub(channel)
        for title, request in questions():
            print(title)
            try:
                # Always with a deadline: a decision takes microseconds, or
                # something is wrong. An error is not a yes.
                answer = client.Authorize(request, timeout=2, wait_for_ready=False)
            except grpc.RpcError as error:
                sys.exit(f"error: no answer from {address}: {error.code().name}: {error.details()}")
            show(answer)
            verdict = "lets it happen" if may_happen(answer) else "refuses"
            print(f"  so the enforcement point {verdict}\n")


if __name__ == "__main__":
    main()
