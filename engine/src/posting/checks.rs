//! What stands in the way of posting: settings that are missing, names that the company doesn't
//! have, and what the shop holds that nothing maps. Everything at once, with counts and sums.

use super::company::{Account, Company, TaxModel};
use super::facts::{ShopFacts, shown};
use super::lines::Role;
use super::numbers;
use super::settings::{Discounts, ExchangeRate, Guests, Inventory, Problem, Settings, TaxTarget};

/// One finding. A warning doesn't keep anything from being posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub problem: Problem,
    pub is_warning: bool,
}

fn missing(path: &str, message: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding { problem: Problem::new(path, message, hint), is_warning: false }
}

fn warning(path: &str, message: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding { problem: Problem::new(path, message, hint), is_warning: true }
}

/// Settings without which nothing is posted. Needs no company.
pub fn check_settings(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![];
    let mut need = |path: &str, given: bool, hint: &str| {
        if !given {
            findings.push(missing(path, "is required before anything is posted", hint));
        }
    };
    need("time_zone", settings.zone().is_some(), "Set the company's time zone: America/New_York.");
    need("start_date", settings.start_date.is_some(), "Set the day from which orders are posted.");
    need("income_account", settings.income_account.is_some(), "Name an income account.");
    let default = settings.deposit_accounts.get("default");
    need(
        "deposit_accounts.default",
        default.is_some_and(|by| by.0.contains_key("default")),
        "Name the account that money goes to; a clearing account is recommended.",
    );
    if settings.guests == Guests::Shared {
        need(
            "web_customer",
            settings.web_customer.is_some(),
            "Name the customer that guests share.",
        );
    }
    if settings.gift_cards.are_used() {
        need(
            "gift_card_account",
            settings.gift_card_account.is_some(),
            "Name the liability account of gift cards.",
        );
    }
    findings
}

/// What the settings name and the company doesn't have, and preferences that don't fit.
pub fn check_company(settings: &Settings, company: &Company) -> Vec<Finding> {
    let mut findings = vec![];
    accounts(settings, company, &mut findings);
    items(settings, company, &mut findings);
    taxes(settings, company, &mut findings);
    lists(settings, company, &mut findings);
    preferences(settings, company, &mut findings);
    findings
}

const NONE: &str = "Make it in QuickBooks, or name another.";

fn account<'c>(
    path: &str,
    name: &str,
    types: &[&str],
    company: &'c Company,
    findings: &mut Vec<Finding>,
) -> Option<&'c Account> {
    match company.account(name) {
        None => findings.push(missing(path, format!("no account \"{name}\" in QuickBooks"), NONE)),
        Some(account) if !account.active => findings.push(missing(
            path,
            format!("account \"{name}\" is inactive"),
            "Make it active in QuickBooks, or name another.",
        )),
        Some(account) if !types.contains(&account.account_type.as_str()) => {
            findings.push(missing(
                path,
                format!("account \"{name}\" is of type {}", account.account_type),
                format!("Name one of type {}.", types.join(" or ")),
            ));
        }
        Some(account) => return Some(account),
    }
    None
}

fn accounts(settings: &Settings, company: &Company, findings: &mut Vec<Finding>) {
    const MONEY: [&str; 2] = ["Bank", "Other Current Asset"];
    const LIABILITY: [&str; 2] = ["Other Current Liability", "Long Term Liability"];
    if let Some(name) = &settings.income_account {
        account("income_account", name, &["Income", "Other Income"], company, findings);
    }
    for (method, by_currency) in &settings.deposit_accounts {
        for (currency, name) in &by_currency.0 {
            let path = match currency.as_str() {
                "default" => format!("deposit_accounts.{method}"),
                _ => format!("deposit_accounts.{method}.{currency}"),
            };
            let found = account(&path, name, &MONEY, company, findings);
            let foreign = found.and_then(|account| account.currency.as_deref());
            // QuickBooks takes home-currency accounts, or those of the document's currency.
            if let Some(theirs) = foreign.filter(|c| *c != company.home_currency && c != currency) {
                findings.push(warning(
                    &path,
                    format!("account \"{name}\" is kept in {theirs}"),
                    format!(
                        "Give it for {theirs} only: {{\"{theirs}\": \"{name}\", \"default\": ...}}."
                    ),
                ));
            }
        }
    }
    if let Some(name) = &settings.gift_card_account {
        account("gift_card_account", name, &LIABILITY, company, findings);
    }
}

fn item(path: &str, name: &str, company: &Company, findings: &mut Vec<Finding>) -> bool {
    let message = match company.item(name) {
        None => format!("no item \"{name}\" in QuickBooks"),
        Some(item) if !item.active => format!("item \"{name}\" is inactive"),
        Some(item) if item.item_type == "Category" => format!("\"{name}\" is a category"),
        Some(item) if item.income_account.is_none() => format!("item \"{name}\" is not for sale"),
        Some(_) => return true,
    };
    findings.push(missing(path, message, "Make a service item of that name, or name another."));
    false
}

fn items(settings: &Settings, company: &Company, findings: &mut Vec<Finding>) {
    for role in Role::ALL {
        if role == Role::GiftCard && !settings.gift_cards.are_used() {
            continue;
        }
        let (path, name) = role.setting(settings);
        if !item(path, name, company, findings) || role != Role::GiftCard {
            continue;
        }
        let on = company.item(name).and_then(|item| item.income_account.as_deref());
        let account = settings.gift_card_account.as_deref().and_then(|name| company.account(name));
        if account.is_some_and(|account| on != Some(account.id.as_str())) {
            findings.push(missing(
                path,
                format!("item \"{name}\" isn't on gift_card_account"),
                "Put the item on that account: a gift card is owed, not earned.",
            ));
        }
    }
}

fn taxes(settings: &Settings, company: &Company, findings: &mut Vec<Finding>) {
    let model = company.tax_model();
    for (rate, target) in &settings.tax.rates {
        let path = format!("tax.rates.{rate}");
        match target {
            TaxTarget::Item(name) => {
                item(&path, name, company, findings);
            }
            TaxTarget::Code(name) if model == TaxModel::Codes => {
                code(&path, name, company, findings)
            }
            TaxTarget::Code(_) => findings.push(missing(
                &path,
                "lines of this company bear no tax codes",
                "Map it to \"sales_tax\" or to an item.",
            )),
            TaxTarget::SalesTax if model == TaxModel::Codes => findings.push(missing(
                &path,
                "\"sales_tax\" is for US companies",
                "Map it to a code or to an item.",
            )),
            TaxTarget::SalesTax => {}
        }
    }
    match (&settings.tax.zero_code, model) {
        (Some(name), TaxModel::Codes) => code("tax.zero_code", name, company, findings),
        (None, TaxModel::Codes) => findings.push(missing(
            "tax.zero_code",
            "is required outside the US",
            "Set the code of sales without tax.",
        )),
        _ => {}
    }
    match (&settings.tax.sales_tax_item, model) {
        (Some(name), TaxModel::UsItem | TaxModel::Off) => {
            item("tax.sales_tax_item", name, company, findings);
        }
        (None, TaxModel::UsItem) => findings.push(warning(
            "tax.sales_tax_item",
            "automated sales tax is off, and tax that was collected has nowhere to go",
            "Turn on automated sales tax, or name an item on a liability account.",
        )),
        _ => {}
    }
}

fn code(path: &str, name: &str, company: &Company, findings: &mut Vec<Finding>) {
    match company.tax_code(name) {
        Some(code) if code.active => {}
        Some(_) => findings.push(missing(path, format!("tax code \"{name}\" is inactive"), NONE)),
        None => findings.push(missing(path, format!("no tax code \"{name}\" in QuickBooks"), NONE)),
    }
}

fn lists(settings: &Settings, company: &Company, findings: &mut Vec<Finding>) {
    if let Some(name) = &settings.terms
        && !company.term(name).is_some_and(|term| term.active)
    {
        findings.push(missing("terms", format!("no active terms \"{name}\""), NONE));
    }
    for (method, name) in &settings.payment_methods {
        if !company.payment_method(name).is_some_and(|method| method.active) {
            let path = format!("payment_methods.{method}");
            findings.push(missing(&path, format!("no active payment method \"{name}\""), NONE));
        }
    }
    if let Some(name) = &settings.web_customer
        && company.customer(name, &company.home_currency).is_none()
    {
        findings.push(missing(
            "web_customer",
            format!("no active customer \"{name}\" in {}", company.home_currency),
            "Make the customer in QuickBooks, or name another.",
        ));
    }
    for id in settings.custom_fields.keys().filter(|id| !company.custom_fields.contains(id)) {
        findings.push(missing(
            &format!("custom_fields.{id}"),
            "this custom field is not switched on for sales forms",
            "Switch it on in QuickBooks, or remove it.",
        ));
    }
}

fn preferences(settings: &Settings, company: &Company, findings: &mut Vec<Finding>) {
    if let (Some(start), Some(close)) = (settings.start_date, company.book_close_date)
        && start <= close
    {
        // Books are closed month after month, and start_date stays: what falls before is held back
        // order by order (closed_period), the rest goes on.
        findings.push(warning(
            "start_date",
            format!("{start} is not after the books' closing date {close}: orders dated in closed books are held, or dated on the first open day (closed_period)"),
            "Set start_date after the closing date where nothing older is to be posted.",
        ));
    }
    if !company.custom_numbers {
        findings.push(warning(
            "document_prefix",
            "custom transaction numbers are off in QuickBooks: people's documents and ours may collide",
            "Turn on custom transaction numbers under Sales.",
        ));
    }
    let applies = company.auto_apply_credit || company.auto_apply_payments;
    if applies && settings.guests == Guests::Shared {
        findings.push(missing(
            "guests",
            "QuickBooks applies credits and payments by itself, and guests share a customer: one \
             guest's credit would pay another's Invoice",
            "Turn off automatic application in QuickBooks, or set guests to by_email.",
        ));
    } else if applies {
        findings.push(warning(
            "guests",
            "QuickBooks applies credits and payments by itself",
            "Turn off automatic application in QuickBooks: it makes payments that the shop never had.",
        ));
    }
    if settings.discounts == Discounts::DiscountLine && !company.allow_discount {
        findings.push(missing(
            "discounts",
            "discounts are off in QuickBooks",
            "Turn them on under Sales, or set discounts to item_lines.",
        ));
    }
    if settings.inventory == Inventory::Books && !company.tracks_inventory {
        findings.push(missing(
            "inventory",
            "the company doesn't track inventory",
            "Turn it on in QuickBooks, or set inventory to shop.",
        ));
    }
}

/// What the shop holds that settings and company don't answer for.
pub fn check_shop(settings: &Settings, company: &Company, facts: &ShopFacts) -> Vec<Finding> {
    let mut findings = vec![];
    for (status, sums) in &facts.unknown_statuses {
        findings.push(missing(
            &format!("post.statuses.{status}"),
            format!("nothing maps this status ({})", shown(sums)),
            "Map it to a standard status.",
        ));
    }
    for (line, sums) in facts.unmapped_rates.values() {
        findings.push(missing(
            &format!("tax.rates.{}", line.rate_id),
            format!("nothing maps rate {}; tax on {}", line.code, shown(sums)),
            "Map the rate, its country or * to a code, an item or sales_tax.",
        ));
    }
    for (rate, (message, sums)) in &facts.wrong_rates {
        let message = format!("{message}; tax on {}", shown(sums));
        findings.push(missing(&format!("tax.rates.{rate}"), message, "Map the rate to another."));
    }
    numbers_fit(settings, facts, &mut findings);
    currencies(settings, company, facts, &mut findings);
    if !facts.before_start.is_empty() {
        let message = format!("orders before it are skipped ({})", shown(&facts.before_start));
        findings.push(warning("start_date", message, "Move it back to post them."));
    }
    for (method, sums) in
        facts.methods.iter().filter(|(m, _)| !settings.deposit_accounts.contains_key(*m))
    {
        let name = if method.is_empty() { "what names no payment method" } else { method };
        let path =
            format!("deposit_accounts.{}", if method.is_empty() { "default" } else { method });
        let message = format!("{name} goes to the default account ({})", shown(sums));
        findings.push(warning(&path, message, "Name an account of its own for it, or leave it."));
    }
    if settings.web_customer.is_none() && !facts.of_nobody.is_empty() {
        findings.push(missing(
            "web_customer",
            format!("orders have neither account nor e-mail ({})", shown(&facts.of_nobody)),
            "Name the customer that such orders go to.",
        ));
    }
    findings
}

fn numbers_fit(settings: &Settings, facts: &ShopFacts, findings: &mut Vec<Finding>) {
    let sale = format!("{}{}", settings.document_prefix, facts.longest_number);
    for number in [&sale, &facts.longest_refund_number] {
        let length = number.chars().count();
        if length > numbers::MAX_NUMBER {
            findings.push(missing(
                "document_prefix",
                format!(
                    "\"{number}\" has {length} characters, QuickBooks takes {}",
                    numbers::MAX_NUMBER
                ),
                "Shorten the prefix.",
            ));
        }
    }
}

fn currencies(
    settings: &Settings,
    company: &Company,
    facts: &ShopFacts,
    findings: &mut Vec<Finding>,
) {
    for (currency, tally) in facts.currencies.iter().filter(|(c, _)| **c != company.home_currency) {
        let sums = [(currency.clone(), *tally)].into();
        let of = shown(&sums);
        if !company.multicurrency {
            findings.push(warning(
                "currency",
                format!("{currency} is blocked: multicurrency is off ({of})"),
                "Turn on multicurrency in QuickBooks; nothing is ever converted.",
            ));
            continue;
        }
        if !company.currencies.contains(currency) {
            findings.push(missing(
                "currency",
                format!("{currency} is not set up in QuickBooks ({of})"),
                "Add the currency under Currencies.",
            ));
        }
        let fixed = settings.exchange_rate == ExchangeRate::Fixed;
        if fixed && !settings.exchange_rates.contains_key(currency) {
            let path = format!("exchange_rates.{currency}");
            findings.push(missing(&path, format!("no fixed rate ({of})"), "Give the rate."));
        }
        let web = settings.web_customer.as_deref();
        if let Some(name) = web.filter(|name| company.customer(name, currency).is_none())
            && facts.of_nobody.contains_key(currency)
        {
            findings.push(missing(
                "web_customer",
                format!("no active customer \"{name} ({currency})\" for orders of nobody ({of})"),
                "Make that customer in QuickBooks.",
            ));
        }
    }
}
