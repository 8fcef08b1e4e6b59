"""The public WooCommerce client for Python against the simulated shop.

Proves that the simulator isn't merely the mirror of our own client: Basic over https (with the
simulator's CA) and OAuth 1.0a over plain http, lists, paging, writes, batches, refunds, webhooks.

Usage: public_client.py STATE_FILE
"""

import base64
import hashlib
import hmac
import http.server
import json
import sys
import threading
import time
import urllib.request

from woocommerce import API


def client(state, scheme, key="read_write"):
    keys = state["woocommerce"]["keys"][key]
    return API(
        url=state["woocommerce"][scheme],
        consumer_key=keys["consumer_key"],
        consumer_secret=keys["consumer_secret"],
        version="wc/v3",
        timeout=30,
        verify_ssl=state["ca_file"] if scheme == "https" else False,
    )


def check(what, condition, found=None):
    if not condition:
        sys.exit(f"FAILED: {what}: {found!r}")
    print(f"ok: {what}")


class Receiver(http.server.BaseHTTPRequestHandler):
    deliveries = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.deliveries.append((dict(self.headers.items()), body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def lists(api, scheme):
    answer = api.get("orders", params={"per_page": 100, "orderby": "id", "order": "asc", "dp": 2})
    check(f"{scheme}: a page of orders", answer.status_code == 200 and len(answer.json()) == 100, answer.text[:300])
    total, pages = int(answer.headers["X-WP-Total"]), int(answer.headers["X-WP-TotalPages"])
    ids = [order["id"] for order in answer.json()]
    for page in range(2, pages + 1):
        params = {"per_page": 100, "orderby": "id", "order": "asc", "page": page}
        ids += [order["id"] for order in api.get("orders", params=params).json()]
    check(f"{scheme}: all pages, each order once", len(ids) == total == len(set(ids)), (len(ids), total))
    params = {"modified_after": "2026-11-20T08:00:00", "dates_are_gmt": "true", "per_page": 100}
    changed = api.get("orders", params=params).json()
    late = all(order["date_modified_gmt"] > "2026-11-20T08:00:00" for order in changed)
    check(f"{scheme}: orders changed since", changed and late)
    customers = api.get("customers", params={"role": "all", "per_page": 100})
    check(f"{scheme}: customers of all roles", len(customers.json()) == 43, customers.text[:200])
    products = api.get("products", params={"per_page": 100, "search": "Mug “Morning” ☕"}).json()
    check(f"{scheme}: products by a name beyond ASCII", products and "Mug" in products[0]["name"])
    variations = api.get("products/59/variations", params={"per_page": 100})
    check(f"{scheme}: variations", {v["parent_id"] for v in variations.json()} == {59})
    check(f"{scheme}: an unknown order is a 404", api.get("orders/99999999").status_code == 404)


def writes(api, scheme):
    line = {"product_id": 11, "quantity": 2}
    made = api.post("orders", {"status": "processing", "line_items": [line]})
    order = made.json()
    check(f"{scheme}: an order is created", made.status_code == 201 and order["total"] == "17.68", made.text[:300])
    moved = api.put(f"orders/{order['id']}", {"status": "completed"}).json()
    check(f"{scheme}: and completed", moved["status"] == "completed" and moved["date_completed"])
    batch = api.post("orders/batch", {
        "create": [{"status": "pending"}],
        "update": [{"id": order["id"], "customer_note": "hello"}, {"id": 99999999}],
        "delete": [99999998],
    })
    body = batch.json()
    check(f"{scheme}: a batch with failures answers 200", batch.status_code == 200)
    check(f"{scheme}: its failures stand at their places",
          body["update"][1]["error"]["data"]["status"] == 400 and "error" in body["delete"][0])
    item = order["line_items"][0]
    refund = api.post(f"orders/{order['id']}/refunds", {
        "amount": "8.84", "api_refund": False,
        "line_items": [{"id": item["id"], "quantity": 1, "refund_total": 8.0,
                        "refund_tax": [{"id": 1, "refund_total": 0.71}, {"id": 2, "refund_total": 0.13}]}],
    })
    check(f"{scheme}: a line is refunded",
          refund.status_code == 201 and refund.json()["line_items"][0]["total"] == "-8.00", refund.text[:300])
    seen = api.get(f"orders/{order['id']}").json()["refunds"]
    check(f"{scheme}: the order names the refund", seen[0]["total"] == "-8.84", seen)
    gone = api.delete(f"orders/{order['id']}", params={"force": True})
    check(f"{scheme}: a forced delete", gone.status_code == 200)
    check(f"{scheme}: leaves nothing", api.get(f"orders/{order['id']}").status_code == 404)


def webhooks(state, api):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = api.post("webhooks", {
        "topic": "order.updated", "secret": "whsec_test",
        "delivery_url": f"http://127.0.0.1:{server.server_port}/hook",
    })
    check("a webhook is created", made.status_code == 201 and "secret" not in made.json())
    api.put("orders/173", {"customer_note": "x"})
    urllib.request.urlopen(urllib.request.Request(
        state["control"] + "/woocommerce/deliveries/now", method="POST"))
    for _ in range(100):
        if len(Receiver.deliveries) >= 2:
            break
        time.sleep(0.05)
    check("ping and delivery arrive", len(Receiver.deliveries) == 2, len(Receiver.deliveries))
    headers, body = Receiver.deliveries[1]
    headers = {name.lower(): value for name, value in headers.items()}
    digest = hmac.new(b"whsec_test", body, hashlib.sha256).digest()
    check("the delivery is signed", headers["x-wc-webhook-signature"] == base64.b64encode(digest).decode())
    check("and holds the order", json.loads(body)["id"] == 173)


def main():
    with open(sys.argv[1]) as file:
        state = json.load(file)
    for scheme in ("https", "http"):
        api = client(state, scheme)
        lists(api, scheme)
        writes(api, scheme)
        refused = client(state, scheme, "read_only").post("orders", {})
        check(f"{scheme}: a read-only key can't write", refused.status_code == 401)
    webhooks(state, client(state, "https"))


main()
