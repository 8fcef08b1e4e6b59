//! A shop that lives: things are bought, changed, trashed, deleted, some of it without a trace.
//! Its rules are WooCommerce's as measured (woocommerce.md, sections 2 to 6).

use super::dice::Dice;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// What one thing in the shop has in common with all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Counts the states of its content.
    pub revision: u64,
    /// Whole seconds; what `modified_after` looks at.
    pub modified: Timestamp,
    pub trashed: bool,
    /// The platform answers something unreadable for it.
    pub broken: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub item: Item,
    /// 0: a guest.
    pub customer: i64,
    /// Line id and product (0: the product was deleted).
    pub lines: Vec<(i64, i64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    pub item: Item,
    /// Variations with their revision.
    pub variations: BTreeMap<i64, u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Refund {
    pub item: Item,
    pub order: i64,
    /// Line id and the order's line that it takes back.
    pub lines: Vec<(i64, i64)>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shop {
    pub orders: BTreeMap<i64, Order>,
    pub products: BTreeMap<i64, Product>,
    pub customers: BTreeMap<i64, Item>,
    pub refunds: BTreeMap<i64, Refund>,
    /// One sequence for all kinds.
    last_id: i64,
    /// What a plugin hides from lists: it counts in offsets and totals and isn't shown.
    pub hidden: Vec<i64>,
}

/// What may happen in a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    NewOrder,
    EditOrder,
    TrashOrder,
    RestoreOrder,
    DeleteOrder,
    NewRefund,
    NewProduct,
    EditProduct,
    EditVariation,
    DeleteVariation,
    TrashProduct,
    NewCustomer,
    EditCustomer,
    /// All orders get one time of change, as by a bulk edit or an import.
    BulkEdit,
    BreakOrder,
    /// Unreadable records become readable.
    Mend,
    /// Without a trace in `date_modified` or webhooks.
    DeleteRefund,
    DeleteProduct,
    DeleteCustomer,
    EditSilently,
}

impl Change {
    /// What the next incremental run must see.
    pub const SEEN: [Change; 14] = [
        Change::NewOrder,
        Change::EditOrder,
        Change::TrashOrder,
        Change::DeleteOrder,
        Change::NewRefund,
        Change::NewProduct,
        Change::EditProduct,
        Change::EditVariation,
        Change::TrashProduct,
        Change::NewCustomer,
        Change::EditCustomer,
        Change::BulkEdit,
        Change::BreakOrder,
        Change::Mend,
    ];
    /// What only a full run sees.
    pub const SILENT: [Change; 6] = [
        // Refunds that were never seen come back with it, and their times don't move.
        Change::RestoreOrder,
        // Old orders' lines forget it.
        Change::DeleteVariation,
        Change::DeleteRefund,
        Change::DeleteProduct,
        Change::DeleteCustomer,
        Change::EditSilently,
    ];
}

impl Shop {
    /// A shop with some customers, products and orders, all from before `now`.
    pub fn open(dice: &Dice, now: Timestamp, orders: u64) -> Self {
        let mut shop = Shop::default();
        let age = |n: u64| SignedDuration::from_secs(i64::try_from(n).unwrap_or(0) * 400);
        for n in 0..3 + orders / 4 {
            shop.change(Change::NewCustomer, dice, now - age(n));
            shop.change(Change::NewProduct, dice, now - age(n));
        }
        for n in (0..orders).rev() {
            shop.change(Change::NewOrder, dice, now - age(n));
        }
        shop
    }

    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    fn item(at: Timestamp) -> Item {
        Item { revision: 1, modified: seconds(at), trashed: false, broken: false }
    }

    /// Makes a change at `at`; says what it touched. None: there is nothing to do it to.
    pub fn change(&mut self, change: Change, dice: &Dice, at: Timestamp) -> Option<i64> {
        match change {
            Change::NewOrder => Some(self.new_order(dice, at)),
            Change::NewRefund => self.new_refund(dice, at),
            Change::NewProduct => Some(self.new_product(dice, at)),
            Change::NewCustomer => {
                let id = self.next_id();
                self.customers.insert(id, Shop::item(at));
                Some(id)
            }
            Change::DeleteProduct => self.delete_product(dice),
            Change::DeleteCustomer => self.delete_customer(dice),
            Change::DeleteRefund => {
                let id = dice.pick(&keys(&self.refunds, |_| true))?;
                self.refunds.remove(&id).map(|_| id)
            }
            Change::EditVariation | Change::DeleteVariation => self.vary(change, dice, at),
            Change::BulkEdit => {
                self.orders.values_mut().for_each(|order| order.item.touch(at));
                Some(0)
            }
            Change::Mend => {
                let broken = keys(&self.orders, |o| o.item.broken);
                for order in self.orders.values_mut().filter(|o| o.item.broken) {
                    order.item.broken = false;
                    order.item.touch(at);
                }
                Some(broken.len() as i64)
            }
            _ => self.edit(change, dice, at),
        }
    }

    fn edit(&mut self, change: Change, dice: &Dice, at: Timestamp) -> Option<i64> {
        if matches!(change, Change::EditProduct | Change::TrashProduct) {
            let id = dice.pick(&keys(&self.products, |p| !p.item.trashed))?;
            let product = self.products.get_mut(&id)?;
            product.item.touch(at);
            product.item.trashed = change == Change::TrashProduct;
            return Some(id);
        }
        if change == Change::EditCustomer {
            let id = dice.pick(&keys(&self.customers, |_| true))?;
            self.customers.get_mut(&id)?.touch(at);
            return Some(id);
        }
        let trashed = change == Change::RestoreOrder;
        let any = change == Change::DeleteOrder;
        let id = dice.pick(&keys(&self.orders, |o| any || o.item.trashed == trashed))?;
        if change == Change::DeleteOrder {
            self.orders.remove(&id);
            self.refunds.retain(|_, refund| refund.order != id);
            return Some(id);
        }
        let order = self.orders.get_mut(&id)?;
        match change {
            Change::TrashOrder => order.item.trashed = true,
            Change::RestoreOrder => order.item.trashed = false,
            Change::BreakOrder => order.item.broken = true,
            _ => {}
        }
        if change == Change::EditSilently {
            order.item.revision += 1;
        } else {
            order.item.touch(at);
        }
        Some(id)
    }

    fn new_order(&mut self, dice: &Dice, at: Timestamp) -> i64 {
        let id = self.next_id();
        let customers = keys(&self.customers, |_| true);
        let customer = if dice.chance(30) { 0 } else { dice.pick(&customers).unwrap_or(0) };
        let sold = keys(&self.products, |p| !p.item.trashed);
        let lines = (0..dice.below(0..4))
            .map(|_| {
                let product = dice.pick(&sold).unwrap_or(0);
                let variations: Vec<i64> = self
                    .products
                    .get(&product)
                    .map(|p| p.variations.keys().copied().collect())
                    .unwrap_or_default();
                (self.next_id(), dice.pick(&variations).unwrap_or(product))
            })
            .collect();
        self.orders.insert(id, Order { item: Shop::item(at), customer, lines });
        id
    }

    fn new_product(&mut self, dice: &Dice, at: Timestamp) -> i64 {
        let id = self.next_id();
        let variations = (0..if dice.chance(40) { dice.below(1..4) } else { 0 })
            .map(|_| (self.next_id(), 1))
            .collect();
        self.products.insert(id, Product { item: Shop::item(at), variations });
        id
    }

    /// A refund moves its order's time.
    fn new_refund(&mut self, dice: &Dice, at: Timestamp) -> Option<i64> {
        let order_id = dice.pick(&keys(&self.orders, |o| !o.item.trashed && !o.item.broken))?;
        let id = self.next_id();
        let order = self.orders.get_mut(&order_id)?;
        order.item.touch(at);
        let line = order.lines.first().map(|(line, _)| *line);
        let lines = line.map(|line| (self.next_id(), line)).into_iter().collect();
        self.refunds.insert(id, Refund { item: Shop::item(at), order: order_id, lines });
        Some(id)
    }

    /// A variation's change moves its parent's time.
    fn vary(&mut self, change: Change, dice: &Dice, at: Timestamp) -> Option<i64> {
        let id =
            dice.pick(&keys(&self.products, |p| !p.item.trashed && !p.variations.is_empty()))?;
        let product = self.products.get_mut(&id)?;
        let variation = dice.pick(&keys(&product.variations, |_| true))?;
        product.item.touch(at);
        if change == Change::DeleteVariation {
            product.variations.remove(&variation);
            self.unsell(variation);
        } else {
            *product.variations.get_mut(&variation)? += 1;
        }
        Some(id)
    }

    fn delete_product(&mut self, dice: &Dice) -> Option<i64> {
        let id = dice.pick(&keys(&self.products, |_| true))?;
        let product = self.products.remove(&id)?;
        self.unsell(id);
        product.variations.keys().for_each(|variation| self.unsell(*variation));
        Some(id)
    }

    /// Lines of old orders forget a deleted product; the orders' times don't move.
    fn unsell(&mut self, product: i64) {
        let lines = self.orders.values_mut().flat_map(|order| &mut order.lines);
        lines.filter(|(_, sold)| *sold == product).for_each(|(_, sold)| *sold = 0);
    }

    /// Orders of a deleted customer become a guest's; their times don't move.
    fn delete_customer(&mut self, dice: &Dice) -> Option<i64> {
        let id = dice.pick(&keys(&self.customers, |_| true))?;
        self.customers.remove(&id);
        self.orders.values_mut().filter(|o| o.customer == id).for_each(|o| o.customer = 0);
        Some(id)
    }
}

impl Item {
    fn touch(&mut self, at: Timestamp) {
        self.revision += 1;
        // Two writers may commit in another order than they began; the time never goes back.
        self.modified = self.modified.max(seconds(at));
    }
}

fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn keys<T>(map: &BTreeMap<i64, T>, fits: impl Fn(&T) -> bool) -> Vec<i64> {
    map.iter().filter(|(_, item)| fits(item)).map(|(id, _)| *id).collect()
}
