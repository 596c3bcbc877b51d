"""Webhooks of the gateway, verified by the Standard Webhooks specification's own Python library.

    python webhooks_python.py webhooks

Reads GALLERIST_BASE_URL, GALLERIST_API_KEY, GALLERIST_ADMIN_KEY and GALLERIST_FAKES (a JSON object of kind and
origin) of a gateway whose webhooks may reach loopback. Prints `ok CASE` or `FAIL CASE: reason` for each case and
exits 1 when one failed. `cargo xtask test` runs it.
"""

import http.server
import json
import os
import queue
import sys
import threading
import urllib.request
from decimal import Decimal

from standardwebhooks import Webhook, WebhookVerificationError

BASE_URL = os.environ["GALLERIST_BASE_URL"]
API_KEY = os.environ["GALLERIST_API_KEY"]
ADMIN_KEY = os.environ["GALLERIST_ADMIN_KEY"]
FAKES = json.loads(os.environ["GALLERIST_FAKES"])

failures = 0
received = queue.Queue()
answers = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.put(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(200 if answers.empty() else answers.get())
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def call(method, url, key=None, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    request.add_header("content-type", "application/json")
    if key:
        request.add_header("authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def admin(method, path, body=None):
    return call(method, f"{BASE_URL}{path}", ADMIN_KEY, body)


def case(name, check):
    global failures
    try:
        check()
        print(f"ok {name}", flush=True)
    except Exception as error:  # one case must not hide the others
        failures += 1
        print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)


def refuses(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return True
    return False


def webhooks():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/alerts"
    made = admin("POST", "/webhooks", {"url": url, "kinds": ["charge.*"]})
    path = f"/webhooks/{made['id']}"

    def test_event():
        assert admin("POST", f"{path}/test")["delivered"]
        headers, body = received.get(timeout=10)
        event = Webhook(made["secret"]).verify(body, headers)
        assert event["type"] == "webhook.test", event
        assert refuses(made["secret"], body + b" ", headers)
        later = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
        assert refuses(made["secret"], body, later)

    def rotation():
        fresh = admin("POST", f"{path}/rotate")["secret"]
        assert admin("POST", f"{path}/test")["delivered"]
        headers, body = received.get(timeout=10)
        for secret in (made["secret"], fresh):
            Webhook(secret).verify(body, headers)
        made["secret"] = fresh

    def alert():
        answers.put(503)
        faults = [{"fault": "price_changed", "numerator": 3, "denominator": 2}]
        call("PUT", f"{FAKES['bfl']}/_fake/faults", body=faults)
        picture = {"model": "bfl/flux-2-pro", "prompt": "a heron", "size": "1024x1024"}
        call("POST", f"{BASE_URL}/images/generations", API_KEY, picture)
        # The first is refused, and comes again some seconds later under the same id.
        (first, body), (second, again) = received.get(timeout=30), received.get(timeout=30)
        event = Webhook(made["secret"]).verify(again, second)
        assert (first["webhook-id"], body) == (second["webhook-id"], again)
        known = admin("GET", "/alerts?kind=charge.overrun")["data"]
        assert [one["id"] for one in known] == [second["webhook-id"]], known
        fact = event["data"]["fact"]
        assert Decimal(fact["charged_usd"]) == Decimal("1.5") * Decimal(fact["maximum_usd"]), fact

    case("a test event verifies, and nothing else does", test_event)
    case("both secrets verify while they change", rotation)
    case("an alert is repeated under its id until it is taken", alert)


if __name__ == "__main__":
    {"webhooks": webhooks}[sys.argv[1]]()
    sys.exit(1 if failures else 0)
