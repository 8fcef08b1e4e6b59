//! The kinds of records of QuickBooks that we read or write.

use std::fmt;

macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        /// A kind of record, by QuickBooks' own name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($kind),*
        }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// QuickBooks' own name: `SalesReceipt`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Kind::$kind => stringify!($kind)),*
                }
            }
        }
    };
}

kinds!(
    Account,
    Bill,
    BillPayment,
    Class,
    CompanyCurrency,
    CompanyInfo,
    CreditMemo,
    Customer,
    Department,
    Deposit,
    Employee,
    Estimate,
    Invoice,
    Item,
    JournalEntry,
    Payment,
    PaymentMethod,
    Preferences,
    Purchase,
    RefundReceipt,
    SalesReceipt,
    TaxCode,
    TaxRate,
    Term,
    Vendor,
);

impl Kind {
    /// The kind of that name, in any case.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }

    /// Its part of a URL: the name in lower case.
    pub fn path(self) -> String {
        self.as_str().to_ascii_lowercase()
    }

    /// A record of a list of names: it is never deleted, only made inactive, and queries leave
    /// inactive ones out unless asked.
    pub fn is_list(self) -> bool {
        use Kind as K;
        matches!(
            self,
            K::Account
                | K::Class
                | K::CompanyCurrency
                | K::Customer
                | K::Department
                | K::Employee
                | K::Item
                | K::PaymentMethod
                | K::TaxCode
                | K::TaxRate
                | K::Term
                | K::Vendor
        )
    }

    /// A transaction: dated, with an amount, and deletable.
    pub fn is_transaction(self) -> bool {
        !self.is_list() && !matches!(self, Kind::CompanyInfo | Kind::Preferences)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
