-- A peer of the benchmark: the shop read by a plain PL/Python function into two tables. Pages are
-- fetched over one kept connection and unpacked by Postgres, the fastest of the simple ways.
create extension plpython3u;
create schema peer;
create table peer.orders (
    id bigint primary key, number text not null, status text not null, currency text not null,
    total numeric not null, total_tax numeric not null, customer_id bigint, email text,
    created_at timestamptz not null, modified_at timestamptz not null, raw jsonb not null
);
create table peer.order_lines (
    order_id bigint not null, id bigint not null, product_id bigint, sku text, name text not null,
    quantity numeric not null, subtotal numeric not null, total numeric not null,
    total_tax numeric not null, primary key (order_id, id)
);

create function peer.load(host text, port integer, ca_file text, key text, secret text)
    returns bigint language plpython3u as $$
import base64, http.client, ssl
context = ssl.create_default_context(cafile=ca_file)
shop = http.client.HTTPSConnection(host, port, context=context)
pair = base64.b64encode(f"{key}:{secret}".encode()).decode()
headers = {"Authorization": "Basic " + pair}
orders = plpy.prepare("""
    insert into peer.orders
    select (o->>'id')::bigint, o->>'number', o->>'status', o->>'currency', (o->>'total')::numeric,
           (o->>'total_tax')::numeric, (o->>'customer_id')::bigint, o->'billing'->>'email',
           (o->>'date_created_gmt')::timestamp at time zone 'UTC',
           (o->>'date_modified_gmt')::timestamp at time zone 'UTC', o
    from jsonb_array_elements($1::jsonb) o
    on conflict (id) do update set status = excluded.status, total = excluded.total,
        modified_at = excluded.modified_at, raw = excluded.raw""", ["text"])
lines = plpy.prepare("""
    insert into peer.order_lines
    select (o->>'id')::bigint, (l->>'id')::bigint, (l->>'product_id')::bigint, l->>'sku', l->>'name',
           (l->>'quantity')::numeric, (l->>'subtotal')::numeric, (l->>'total')::numeric,
           (l->>'total_tax')::numeric
    from jsonb_array_elements($1::jsonb) o, jsonb_array_elements(o->'line_items') l
    on conflict (order_id, id) do update set total = excluded.total""", ["text"])
page, count = 1, 0
while True:
    path = f"/wp-json/wc/v3/orders?per_page=100&page={page}&orderby=id&order=asc&dp=6"
    shop.request("GET", path, headers=headers)
    answer = shop.getresponse()
    body = answer.read().decode()
    if answer.status != 200:
        plpy.error(f"HTTP {answer.status}")
    got = plpy.execute(orders, [body]).nrows()
    plpy.execute(lines, [body])
    count += got
    if got < 100:
        return count
    page += 1
$$;
