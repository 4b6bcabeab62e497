"""Uses a cluster as programs in Python do: the library etcd3 with TLS and a user."""

import os
import threading

import etcd3
import grpc

PREFIX = "app/python/"


def connect():
    host, port = os.environ["ETCD_ENDPOINTS"].split(",")[0].removeprefix("https://").rsplit(":", 1)
    return etcd3.client(
        host=host,
        port=int(port),
        ca_cert=os.environ["ETCD_CACERT"],
        user=os.environ["ETCD_USER"],
        password=os.environ["ETCD_PASSWORD"],
        timeout=20,
    )


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


def keys(client):
    for name in "abc":
        client.put(PREFIX + "keys/" + name, name)
    old = client.put(PREFIX + "keys/a", "new", prev_kv=True)
    expect("the value before", old.prev_kv.value, b"a")
    found = [(value, meta.version) for value, meta in client.get_prefix(PREFIX + "keys/", sort_order="descend")]
    expect("all keys", found, [(b"c", 1), (b"b", 1), (b"new", 2)])
    expect("deleted keys", client.delete_prefix(PREFIX + "keys/").deleted, 3)


def transactions(client):
    key = PREFIX + "txn"

    def create(value):
        functions = client.transactions
        return client.transaction(
            compare=[functions.version(key) == 0], success=[functions.put(key, value)], failure=[functions.get(key)]
        )

    expect("the first creates", create("first")[0], True)
    succeeded, responses = create("second")
    expect("the second sees it", (succeeded, responses[0][0][0]), (False, b"first"))
    expect("replaced once", [client.replace(key, "first", value) for value in ("third", "fourth")], [True, False])


def watches(client):
    begun = client.put(PREFIX + "watch/0", "past").header.revision
    events, cancel = client.watch_prefix(PREFIX + "watch/", start_revision=begun)
    for number in range(1, 50):
        client.put(f"{PREFIX}watch/{number}", "present")
    told = [next(events).key for _ in range(50)]
    cancel()
    expect("the events in order", told, [f"{PREFIX}watch/{number}".encode() for number in range(50)])


def leases(client):
    lease = client.lease(10)
    client.put(PREFIX + "lease", "held", lease=lease)
    expect("kept alive", lease.refresh()[0].TTL, 10)
    expect("keys of the lease", list(client.get_lease_info(lease.id).keys), [(PREFIX + "lease").encode()])
    lease.revoke()
    expect("keys after it", client.get(PREFIX + "lease"), (None, None))


def locks(client):
    counter = [0]

    def count():
        with connect().lock(PREFIX + "counter", ttl=10):
            seen = counter[0]
            threading.Event().wait(0.1)  # Long enough that the others have to wait.
            counter[0] = seen + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect("the counter", counter[0], 4)


def permissions(client):
    try:
        client.put("another/key", "x")
    except grpc.RpcError as error:
        expect("the refusal", error.code(), grpc.StatusCode.PERMISSION_DENIED)
    else:
        raise AssertionError("a key of others was written")


def maintenance(client):
    expect("members", len(list(client.members)), len(os.environ["ETCD_ENDPOINTS"].split(",")))
    expect("the version", client.status().version.startswith("3."), True)


def main():
    client = connect()
    client.delete_prefix(PREFIX)
    for step in (keys, transactions, watches, leases, locks, permissions, maintenance):
        step(client)
        print("ok", step.__name__, flush=True)


main()
