//! `base64(HMAC-SHA256(raw body, secret))`: WooCommerce (woocommerce.md, section 10) and QuickBooks
//! (quickbooks.md, webhooks) sign alike.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

fn mac(secret: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    Some(mac)
}

/// The signature of a body, as the platforms write it.
pub fn sign(secret: &str, body: &[u8]) -> String {
    mac(secret, body).map(|mac| STANDARD.encode(mac.finalize().into_bytes())).unwrap_or_default()
}

/// Did somebody who knows the secret sign these bytes? Compared in constant time. An empty secret
/// signs nothing.
pub fn verifies(secret: &str, signature: &str, body: &[u8]) -> bool {
    if secret.is_empty() {
        return false;
    }
    match (mac(secret, body), STANDARD.decode(signature)) {
        (Some(mac), Ok(given)) => mac.verify_slice(&given).is_ok(),
        _ => false,
    }
}
