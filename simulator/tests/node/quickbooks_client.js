// Drives the simulated QuickBooks with node-quickbooks.
// Usage: NODE_EXTRA_CA_CERTS=ca.pem node quickbooks_client.js simulators.json

'use strict';

const assert = require('assert');
const fs = require('fs');
const { promisify } = require('util');
const QuickBooks = require('node-quickbooks');

const state = JSON.parse(fs.readFileSync(process.argv[2]));
const books = state.quickbooks;
const company = books.companies.find((one) => one.preset === 'uk_single');

async function control(path, body, method = 'POST') {
  const answer = await fetch(`${state.control}/quickbooks/${path}`,
    { method, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

// The library reports refusals as errors of its HTTP client or as bodies with a Fault.
async function refused(code, call) {
  const error = await call.then(() => null, (problem) => problem);
  assert.ok(error, `${code} was expected`);
  const body = error.response ? error.response.data : error;
  assert.strictEqual(body.Fault.Error[0].code, code);
}

function client(tokens) {
  QuickBooks.V3_ENDPOINT_BASE_URL = `${books.api}/v3/company/`;
  QuickBooks.TOKEN_URL = `${books.oauth}/oauth2/v1/tokens/bearer`;
  QuickBooks.REVOKE_URL = `${books.oauth}/v2/oauth2/tokens/revoke`;
  const plain = new QuickBooks(company.client_id, company.client_secret, tokens.access_token,
    false, company.realm_id, true, false, 75, '2.0', tokens.refresh_token);
  return new Proxy(plain, {
    get: (target, name) => (typeof target[name] === 'function'
      ? promisify(target[name].bind(target)) : target[name]),
  });
}

function invoice(customer, number) {
  return {
    DocNumber: number,
    TxnDate: '2026-11-20',
    CustomerRef: { value: customer },
    GlobalTaxCalculation: 'TaxExcluded',
    Line: [{
      DetailType: 'SalesItemLineDetail',
      Amount: 100,
      SalesItemLineDetail: {
        ItemRef: { value: '8' }, Qty: 2, UnitPrice: 50, TaxCodeRef: { value: '6' },
      },
    }],
  };
}

async function main() {
  await control('rules', { throttle: false }, 'PUT');
  const tokens = await control('tokens', { realm_id: company.realm_id });
  const qbo = client(tokens);
  const refreshed = await qbo.refreshAccessToken();
  assert.strictEqual(refreshed.expires_in, 3600);

  const customer = await qbo.createCustomer({ DisplayName: 'E Hughes' });
  assert.strictEqual(customer.CurrencyRef.value, 'GBP');
  await refused('6240', qbo.createVendor({ DisplayName: 'e hughes' }));
  const made = await qbo.createInvoice({ ...invoice(customer.Id, 'JS-1'), requestId: 'js-1' });
  assert.strictEqual(made.TotalAmt, 120);
  const again = await qbo.createInvoice({ ...invoice(customer.Id, 'JS-1'), requestId: 'js-1' });
  assert.strictEqual(again.Id, made.Id);
  await refused('6140', qbo.createInvoice(invoice(customer.Id, 'JS-1')));
  const double = await qbo.createInvoice(
    { ...invoice(customer.Id, 'JS-1'), allowDuplicateDocNum: true });
  assert.notStrictEqual(double.Id, made.Id);

  const read = await qbo.getInvoice(made.Id);
  read.PrivateNote = 'read, changed, written back';
  const updated = await qbo.updateInvoice(read);
  assert.strictEqual(updated.SyncToken, '1');
  await refused('5010', qbo.updateInvoice(read));
  const found = await qbo.findInvoices([
    { field: 'DocNumber', value: 'JS-1' }, { field: 'TotalAmt', value: '100', operator: '>' }]);
  assert.strictEqual(found.QueryResponse.Invoice.length, 2);
  const counted = await qbo.findCustomers({ count: true });
  assert.strictEqual(counted.QueryResponse.totalCount, 2);

  const voided = await qbo.voidInvoice({ Id: made.Id, SyncToken: updated.SyncToken });
  assert.strictEqual(voided.Invoice.TotalAmt, 0);
  const deleted = await qbo.deleteInvoice({ Id: double.Id, SyncToken: '0' });
  assert.strictEqual(deleted.Invoice.status, 'Deleted');
  const batch = await qbo.batch([
    { bId: 'one', operation: 'create', Customer: { DisplayName: 'New' } },
    { bId: 'two', operation: 'create', Customer: { DisplayName: 'E HUGHES' } },
    { bId: 'three', Query: "select * from Customer where DisplayName = 'E Hughes'" }]);
  const answer = (id) => batch.BatchItemResponse.find((item) => item.bId === id);
  assert.ok(answer('one').Customer.Id);
  assert.strictEqual(answer('two').Fault.Error[0].code, '6240');
  assert.strictEqual(answer('three').QueryResponse.Customer[0].Id, customer.Id);
  const { now } = await (await fetch(`${state.control}/clock`)).json();
  const changes = await qbo.changeDataCapture(['Invoice', 'Customer'], `${now.slice(0, 11)}00:00:00Z`);
  const groups = changes.CDCResponse[0].QueryResponse;
  assert.deepStrictEqual(groups[0].Invoice.map((one) => one.status), [undefined, 'Deleted']);
  assert.strictEqual(groups[1].Customer.length, 2);

  await qbo.revokeAccess(true);
  console.log('node-quickbooks is content');
}

main().catch((error) => {
  console.error(error.response ? error.response.data : error);
  process.exit(1);
});
