//! The entities that the simulator keeps.

/// An entity type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Customer,
    Vendor,
    Employee,
    Item,
    Account,
    Invoice,
    SalesReceipt,
    CreditMemo,
    RefundReceipt,
    Payment,
    Bill,
    BillPayment,
    Deposit,
    JournalEntry,
    PaymentMethod,
    Term,
    Department,
    Class,
    TaxCode,
    TaxRate,
    TaxAgency,
    CompanyCurrency,
    CompanyInfo,
    Preferences,
}

use Kind::*;

impl Kind {
    /// All of them.
    pub const ALL: &'static [Kind] = &[
        Customer,
        Vendor,
        Employee,
        Item,
        Account,
        Invoice,
        SalesReceipt,
        CreditMemo,
        RefundReceipt,
        Payment,
        Bill,
        BillPayment,
        Deposit,
        JournalEntry,
        PaymentMethod,
        Term,
        Department,
        Class,
        TaxCode,
        TaxRate,
        TaxAgency,
        CompanyCurrency,
        CompanyInfo,
        Preferences,
    ];

    /// As in bodies and queries: `SalesReceipt`.
    pub fn name(self) -> &'static str {
        match self {
            Customer => "Customer",
            Vendor => "Vendor",
            Employee => "Employee",
            Item => "Item",
            Account => "Account",
            Invoice => "Invoice",
            SalesReceipt => "SalesReceipt",
            CreditMemo => "CreditMemo",
            RefundReceipt => "RefundReceipt",
            Payment => "Payment",
            Bill => "Bill",
            BillPayment => "BillPayment",
            Deposit => "Deposit",
            JournalEntry => "JournalEntry",
            PaymentMethod => "PaymentMethod",
            Term => "Term",
            Department => "Department",
            Class => "Class",
            TaxCode => "TaxCode",
            TaxRate => "TaxRate",
            TaxAgency => "TaxAgency",
            CompanyCurrency => "CompanyCurrency",
            CompanyInfo => "CompanyInfo",
            Preferences => "Preferences",
        }
    }

    /// By its name in any case: paths are in lower case, queries in any.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|k| k.name().eq_ignore_ascii_case(name))
    }

    /// A sales form with item lines.
    pub fn is_sales(self) -> bool {
        matches!(self, Invoice | SalesReceipt | CreditMemo | RefundReceipt)
    }

    /// A transaction, as opposed to a record of a list.
    pub fn is_transaction(self) -> bool {
        self.is_sales() || matches!(self, Payment | Bill | BillPayment | Deposit | JournalEntry)
    }

    /// A list whose records are inactivated, never deleted.
    pub fn has_active(self) -> bool {
        !self.is_transaction() && !matches!(self, TaxAgency | CompanyInfo | Preferences)
    }

    /// Shares its names with the others of this sort: customers, vendors and employees.
    pub fn is_name(self) -> bool {
        matches!(self, Customer | Vendor | Employee)
    }

    /// Whether change data capture covers it.
    pub fn in_cdc(self) -> bool {
        !matches!(self, TaxAgency | TaxCode | TaxRate | CompanyInfo | Preferences | CompanyCurrency)
    }

    /// Whether the entity endpoint creates records; tax codes come from the tax service.
    pub fn can_be_created(self) -> bool {
        !matches!(self, TaxCode | TaxRate | CompanyInfo | Preferences)
    }
}
