//! The hub's documents with their lines, as JSON, by the id they have in the shop.

use anyhow::Result;
use postgres::Client;
use serde_json::Value;
use std::collections::BTreeMap;

/// A row with its lines under `lines` and what it points at by name.
pub type Row = Value;

const CUSTOMERS: &str = "
select c.source_id, to_jsonb(c) || jsonb_build_object('has_ordered', exists (
    select from commerce.orders o where o.tenant_id = c.tenant_id and o.customer_id = c.id))
from commerce.customers c where c.source_connection = $1";

const PRODUCTS: &str = "
select p.source_id, to_jsonb(p) || jsonb_build_object('parent', parent.source_id)
from commerce.products p
left join commerce.products parent on parent.tenant_id = p.tenant_id and parent.id = p.parent_id
where p.source_connection = $1";

const ORDERS: &str = "
select o.source_id, to_jsonb(o) || jsonb_build_object(
    'customer', (select to_jsonb(c) from commerce.customers c
                 where c.tenant_id = o.tenant_id and c.id = o.customer_id),
    'lines', coalesce((select jsonb_agg(to_jsonb(l) || jsonb_build_object('product', p.source_id)
                                        order by l.line_number)
              from commerce.order_lines l
              left join commerce.products p on p.tenant_id = l.tenant_id and p.id = l.product_id
              where l.tenant_id = o.tenant_id and l.order_id = o.id), '[]'))
from commerce.orders o where o.source_connection = $1";

const REFUNDS: &str = "
select r.source_id, to_jsonb(r) || jsonb_build_object(
    'order', o.source_id,
    'lines', coalesce((select jsonb_agg(to_jsonb(l) || jsonb_build_object('order_line', ol.source_id))
              from commerce.refund_lines l
              left join commerce.order_lines ol
                on ol.tenant_id = l.tenant_id and ol.id = l.order_line_id
              where l.tenant_id = r.tenant_id and l.refund_id = r.id), '[]'))
from commerce.refunds r
join commerce.orders o on o.tenant_id = r.tenant_id and o.id = r.order_id
where r.source_connection = $1";

fn read(client: &mut Client, sql: &str, connection: &str) -> Result<BTreeMap<String, Row>> {
    client.batch_execute("set timezone = 'UTC'")?;
    let rows = client.query(sql, &[&connection])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

pub fn customers(client: &mut Client, connection: &str) -> Result<BTreeMap<String, Row>> {
    read(client, CUSTOMERS, connection)
}

pub fn products(client: &mut Client, connection: &str) -> Result<BTreeMap<String, Row>> {
    read(client, PRODUCTS, connection)
}

pub fn orders(client: &mut Client, connection: &str) -> Result<BTreeMap<String, Row>> {
    read(client, ORDERS, connection)
}

pub fn refunds(client: &mut Client, connection: &str) -> Result<BTreeMap<String, Row>> {
    read(client, REFUNDS, connection)
}
