"""A peer of the benchmark: dlt's REST source reads the shop's orders into Postgres, as its
documentation shows. Usage: dlt_orders.py SHOP_URL KEY SECRET POSTGRES_URL (CA in REQUESTS_CA_BUNDLE).
Prints the seconds that it took."""
import sys
import time

import dlt
from dlt.sources.helpers.rest_client.auth import HttpBasicAuth
from dlt.sources.rest_api import rest_api_source

shop, key, secret, postgres = sys.argv[1:]
source = rest_api_source({
    "client": {
        "base_url": f"{shop}/wp-json/wc/v3/",
        "auth": HttpBasicAuth(key, secret),
        "paginator": {"type": "page_number", "base_page": 1, "total_path": None,
                      "stop_after_empty_page": True},
    },
    "resources": [{
        "name": "orders",
        "primary_key": "id",
        "write_disposition": "merge",
        "endpoint": {"path": "orders",
                     "params": {"per_page": 100, "orderby": "id", "order": "asc", "dp": 6}},
    }],
})
pipeline = dlt.pipeline(pipeline_name="peer", dataset_name="peer_dlt",
                        destination=dlt.destinations.postgres(postgres))
began = time.monotonic()
pipeline.run(source).raise_on_failed_jobs()
print(time.monotonic() - began)
