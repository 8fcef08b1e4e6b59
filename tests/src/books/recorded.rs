//! What the recorded shop has to give, as the posting policy says at its end: known by hand.

use super::Tally;
use rust_decimal::Decimal;

/// A row of the posting policy's table.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub currency: &'static str,
    pub orders: Tally,
    pub receipts: Tally,
    pub invoices: Tally,
    pub refund_receipts: Tally,
    pub credit_memos: Tally,
    pub net: Decimal,
}

impl Recorded {
    /// By kind.
    pub fn documents(&self) -> [(&'static str, Tally); 4] {
        [
            ("SalesReceipt", self.receipts),
            ("Invoice", self.invoices),
            ("RefundReceipt", self.refund_receipts),
            ("CreditMemo", self.credit_memos),
        ]
    }

    /// A currency that the company doesn't keep.
    fn unposted(self) -> Recorded {
        let none = Tally::default();
        Recorded {
            receipts: none,
            invoices: none,
            refund_receipts: none,
            credit_memos: none,
            net: Decimal::ZERO,
            ..self
        }
    }
}

/// What the recorded shop gives (posting policy, the table at its end), with only the documents in
/// `currencies`; empty: in all of them.
pub fn recorded(currencies: &[&str]) -> Vec<Recorded> {
    // Count and cents: orders, receipts, invoices, refund receipts, credit memos; net in cents.
    type Cents = (i64, i64);
    const ROWS: [(&str, [Cents; 5], i64); 5] = [
        (
            "USD",
            [(275, 23_109_377), (180, 15_200_124), (12, 216_845), (38, 944_464), (2, 200)],
            14_472_305,
        ),
        ("GBP", [(5, 2_428_474), (1, 1_471_995), (1, 6_648), (1, 1_471_995), (0, 0)], 6_648),
        ("EUR", [(4, 312_035), (2, 8_173), (0, 0), (0, 0), (0, 0)], 8_173),
        ("JPY", [(3, 13_661), (3, 13_661), (0, 0), (0, 0), (0, 0)], 13_661),
        ("KWD", [(2, 62_565), (2, 62_565), (0, 0), (0, 0), (0, 0)], 62_565),
    ];
    let tally = |(count, cents): Cents| Tally { count, sum: Decimal::new(cents, 2) };
    let rows =
        ROWS.into_iter().map(|(currency, [orders, receipts, invoices, refunds, credits], net)| {
            let row = Recorded {
                currency,
                orders: tally(orders),
                receipts: tally(receipts),
                invoices: tally(invoices),
                refund_receipts: tally(refunds),
                credit_memos: tally(credits),
                net: Decimal::new(net, 2),
            };
            match currencies.is_empty() || currencies.contains(&currency) {
                true => row,
                false => row.unposted(),
            }
        });
    rows.collect()
}

/// A company and what it has to come to: documents, customers that they name, orders blocked.
#[derive(Debug)]
pub struct Company {
    pub preset: &'static str,
    pub what: &'static str,
    /// Currencies that it keeps; empty: all.
    pub currencies: &'static [&'static str],
    pub documents: i64,
    pub customers: Option<usize>,
    pub blocked: i64,
}

/// The posting policy's last lines. Without multicurrency the 9 orders that would be posted in
/// another currency wait, in the United Kingdom 199.
pub const COMPANIES: [Company; 5] = [
    Company {
        preset: "us_single",
        what: "US company, dollars only",
        currencies: &["USD"],
        documents: 232,
        customers: Some(80),
        blocked: 9,
    },
    Company {
        preset: "us",
        what: "US company, many currencies",
        currencies: &[],
        documents: 242,
        customers: Some(88),
        blocked: 0,
    },
    Company {
        preset: "uk",
        what: "UK company, many currencies",
        currencies: &[],
        documents: 242,
        customers: Some(88),
        blocked: 0,
    },
    Company {
        preset: "eu",
        what: "EUR company, many currencies",
        currencies: &[],
        documents: 242,
        customers: Some(88),
        blocked: 0,
    },
    Company {
        preset: "uk_single",
        what: "UK company, pounds only",
        currencies: &["GBP"],
        documents: 3,
        customers: None,
        blocked: 199,
    },
];
