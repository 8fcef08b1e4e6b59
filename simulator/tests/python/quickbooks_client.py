"""Drives the simulated QuickBooks with python-quickbooks and intuit-oauth.

Usage: quickbooks_client.py simulators.json
"""

import json
import os
import sys
import urllib.parse
import urllib.request
from decimal import Decimal

STATE = json.load(open(sys.argv[1]))
os.environ["REQUESTS_CA_BUNDLE"] = STATE["ca_file"]

import requests
from intuitlib.client import AuthClient
from intuitlib.enums import Scopes
from intuitlib.exceptions import AuthClientError
from quickbooks import QuickBooks
from quickbooks.batch import batch_create, batch_delete, batch_update
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import QuickbooksException
from quickbooks.objects import (
    Account, Bill, CompanyInfo, CreditMemo, Customer, Invoice, Item, Payment, PaymentMethod,
    Preferences, RefundReceipt, SalesReceipt, TaxCode, Term, Vendor)
from quickbooks.objects.base import EmailAddress, LinkedTxn, Ref
from quickbooks.objects.detailline import SalesItemLine, SalesItemLineDetail
from quickbooks.objects.payment import PaymentLine
from quickbooks.objects.tax import TxnTaxDetail

BOOKS = STATE["quickbooks"]
COMPANY = next(c for c in BOOKS["companies"] if c["preset"] == "us_single")


def control(path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{STATE['control']}/quickbooks/{path}", data=data,
                                     method=method or ("POST" if data else "GET"))
    return json.load(urllib.request.urlopen(request))


def connect():
    """Authorize page, code, exchange, refresh."""
    auth = AuthClient(COMPANY["client_id"], COMPANY["client_secret"], COMPANY["redirect_uri"],
                      BOOKS["oauth"] + "/.well-known/openid_sandbox_configuration")
    url = auth.get_authorization_url([Scopes.ACCOUNTING])
    back = requests.get(url + "&realmId=" + COMPANY["realm_id"], allow_redirects=False)
    assert back.status_code == 302, back.text
    callback = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back.headers["Location"]).query))
    assert callback["state"] == auth.state_token
    auth.get_bearer_token(callback["code"], realm_id=callback["realmId"])
    assert auth.expires_in == 3600 and auth.x_refresh_token_expires_in == 8726400
    first = auth.access_token
    auth.refresh()
    assert auth.access_token != first
    try:
        auth.get_bearer_token(callback["code"])
        raise AssertionError("a code must be good for one exchange only")
    except AuthClientError as error:
        assert error.status_code == 400
    client = QuickBooks(auth_client=auth, refresh_token=auth.refresh_token,
                        company_id=callback["realmId"], minorversion=75)
    client.sandbox = True
    # The library knows Intuit's addresses only.
    client.sandbox_api_url_v3 = BOOKS["api"] + "/v3"
    return auth, client


def sales_line(item, quantity, price, code="NON"):
    line = SalesItemLine()
    line.Amount = quantity * price
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = item.to_ref()
    line.SalesItemLineDetail.Qty = quantity
    line.SalesItemLineDetail.UnitPrice = price
    line.SalesItemLineDetail.TaxCodeRef = Ref()
    line.SalesItemLineDetail.TaxCodeRef.value = code
    return line


def refused(code, call):
    try:
        call()
    except QuickbooksException as error:
        assert int(error.error_code) == code, (error.error_code, error.message, error.detail)
        return
    raise AssertionError(f"{code} was expected")


def lists(client):
    info = CompanyInfo.get(COMPANY["realm_id"], qb=client)
    assert info.Country == "US"
    assert Preferences.get(qb=client).CurrencyPrefs.HomeCurrency.value == "USD"
    accounts = Account.all(max_results=1000, qb=client)
    assert any(account.AccountSubType == "UndepositedFunds" for account in accounts)
    assert {"Stripe", "PayPal"} <= {m.Name for m in PaymentMethod.all(qb=client)}
    assert Term.filter(Name="Net 30", qb=client)[0].DueDays == 30
    assert TaxCode.all(qb=client)
    item = Item()
    item.Name, item.Type, item.Sku = "Canvas Tote", "NonInventory", "TOTE-NAT"
    item.IncomeAccountRef = next(a for a in accounts if a.Name == "Sales of Product Income").to_ref()
    item = item.save(qb=client)
    assert Item.filter(Sku="tote-nat", qb=client)[0].Id == item.Id
    return item


def people(client):
    customer = Customer()
    customer.DisplayName = "Adam's Candy Shop"
    customer.PrimaryEmailAddr = EmailAddress()
    customer.PrimaryEmailAddr.Address = "adam@example.test"
    customer = customer.save(qb=client)
    assert Customer.get(customer.Id, qb=client).SyncToken == "0"
    customer.Notes = "sweet"
    customer = customer.save(qb=client)
    assert customer.SyncToken == "1"
    found = Customer.where(r"DisplayName = 'Adam\'s Candy Shop'", qb=client)
    assert [one.Id for one in found] == [customer.Id]
    assert Customer.count("Active IN (true, false)", qb=client) == 2
    twin = Customer()
    twin.DisplayName = "ADAM'S candy shop"
    refused(6240, lambda: twin.save(qb=client))
    vendor = Vendor()
    vendor.DisplayName = "Paper Mill"
    assert vendor.save(qb=client).Id
    return customer


def documents(client, customer, item):
    invoice = Invoice()
    invoice.CustomerRef = customer.to_ref()
    invoice.DocNumber, invoice.TxnDate = "PY-1", "2026-11-20"
    invoice.Line = [sales_line(item, 2, 24.5, "TAX")]
    invoice.TxnTaxDetail = TxnTaxDetail()
    invoice.TxnTaxDetail.TotalTax = 3.63
    invoice = invoice.save(qb=client, request_id="py-invoice-1")
    assert Decimal(str(invoice.TotalAmt)) == Decimal("52.63"), invoice.TotalAmt

    payment = Payment()
    payment.CustomerRef, payment.TotalAmt = customer.to_ref(), 52.63
    line = PaymentLine()
    line.Amount = 52.63
    link = LinkedTxn()
    link.TxnId, link.TxnType = invoice.Id, "Invoice"
    line.LinkedTxn = [link]
    payment.Line = [line]
    payment = payment.save(qb=client)
    paid = Invoice.get(invoice.Id, qb=client)
    assert paid.Balance == 0 and paid.SyncToken == "1" and paid.LinkedTxn[0].TxnId == payment.Id
    invoice.PrivateNote = "written over a stale token"
    refused(5010, lambda: invoice.save(qb=client))
    paid.PrivateNote = "read, changed, written back"
    assert paid.save(qb=client).SyncToken == "2"

    payment.void(qb=client)
    assert Payment.get(payment.Id, qb=client).TotalAmt == 0
    current = Invoice.get(invoice.Id, qb=client)
    assert Decimal(str(current.Balance)) == Decimal("52.63")
    current.void(qb=client)
    assert Invoice.get(invoice.Id, qb=client).PrivateNote.startswith("Voided")

    receipt = SalesReceipt()
    receipt.CustomerRef, receipt.DocNumber = customer.to_ref(), "PY-2"
    receipt.Line = [sales_line(item, 1, 10)]
    receipt = receipt.save(qb=client)
    assert receipt.TotalAmt == 10
    refund = RefundReceipt()
    refund.CustomerRef, refund.Line = customer.to_ref(), [sales_line(item, 1, 4)]
    refund.DepositToAccountRef = receipt.DepositToAccountRef
    assert refund.save(qb=client).TotalAmt == 4
    memo = CreditMemo()
    memo.CustomerRef, memo.Line = customer.to_ref(), [sales_line(item, 1, 3)]
    assert memo.save(qb=client).RemainingCredit == 3
    receipt.delete(qb=client)
    refused(610, lambda: SalesReceipt.get(receipt.Id, qb=client))


def many(client, customer, item):
    receipts = []
    for number in range(5):
        receipt = SalesReceipt()
        receipt.CustomerRef, receipt.DocNumber = customer.to_ref(), f"PY-B{number}"
        receipt.Line = [sales_line(item, 1, 5)]
        receipts.append(receipt)
    receipts[4].DocNumber = "PY-B0"
    made = batch_create(receipts, qb=client)
    assert len(made.successes) == 4 and len(made.faults) == 1, made.faults
    assert made.faults[0].Error[0].code == "6140"
    for one in made.successes:
        one.PrivateNote = "in a batch"
    changed = batch_update(made.successes, qb=client)
    assert {one.SyncToken for one in changed.successes} == {"1"}, changed.faults
    gone = batch_delete(changed.successes[:1], qb=client)
    assert not gone.faults
    changes = change_data_capture([SalesReceipt, Customer], midnight(), qb=client)
    receipts = changes.SalesReceipt._object_list
    assert len(receipts) == 5, [one.Id for one in receipts]
    assert [one.Id for one in changes.Customer._object_list][-1] == customer.Id


def midnight():
    """The beginning of the simulated day."""
    now = json.load(urllib.request.urlopen(STATE["control"] + "/clock"))["now"]
    return now[:11] + "00:00:00Z"


def main():
    control("rules", {"throttle": False}, "PUT")
    auth, client = connect()
    item = lists(client)
    customer = people(client)
    documents(client, customer, item)
    many(client, customer, item)
    auth.revoke()
    try:
        Customer.all(qb=client)
        raise AssertionError("a revoked token must open nothing")
    except QuickbooksException as error:
        assert "401" in str(error) or "3200" in str(error) or "authenticate" in str(error), error
    print("python-quickbooks and intuit-oauth are content")


main()
