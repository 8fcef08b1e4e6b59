//! Calls to one shop's API. Every URL contains `/wp-json/`: WooCommerce authenticates no other.

use super::settings::Settings;
use super::{auth, errors};
use crate::error::{Error, Result};
use crate::http::header::{CONTENT_TYPE, HeaderValue};
use crate::http::{self, HttpContext, Method, Request, Response, RetryPolicy, Signer, Url};
use crate::limits;
use crate::store::Connection;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Parameters of a query, in order.
pub type Query = Vec<(&'static str, String)>;

/// One shop.
#[derive(Clone)]
pub struct Api {
    client: http::Client,
    /// None: the call says nothing of who calls.
    signer: Option<Arc<dyn Signer>>,
    base: Url,
    retry: Option<RetryPolicy>,
}

impl Api {
    pub fn new(
        connection: &Connection,
        settings: &Settings,
        http: &Arc<HttpContext>,
    ) -> Result<Api> {
        Ok(Api {
            client: http.client(&settings.account(), settings.client_config()),
            signer: Some(auth::signer(&settings.url, &connection.credentials)?),
            base: settings.url.clone(),
            retry: None,
        })
    }

    /// The same shop, tried otherwise.
    pub fn with_retry(&self, retry: RetryPolicy) -> Api {
        Api { retry: Some(retry), ..self.clone() }
    }

    pub fn unsigned(&self) -> Api {
        Api { signer: None, ..self.clone() }
    }

    pub fn secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    pub fn base(&self) -> &Url {
        &self.base
    }

    /// `path` follows `/wp-json/`: `wc/v3/orders`.
    fn request(&self, path: &str, query: &[(&'static str, String)]) -> Result<Request> {
        let mut url = self
            .base
            .join(&format!("wp-json/{path}"))
            .map_err(|_| Error::internal("the shop's address can't be extended"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        // Reads do no harm, and a 500 of PHP (memory, database) is often over at the next try.
        let mut request = Request::get(url).retry_500(true);
        request.signer.clone_from(&self.signer);
        request.retry = self.retry;
        Ok(request)
    }

    /// Reads `path`. Errors as [`http::Client::send`], and refusals as [`errors::of`] tells them.
    pub async fn get(&self, path: &str, query: &[(&'static str, String)]) -> Result<Answer> {
        self.get_within(path, query, limits::RESPONSE_BYTES).await
    }

    /// The same of an answer of at most so many bytes, where several are under way at once.
    pub async fn get_within(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        most: usize,
    ) -> Result<Answer> {
        let request = self.request(path, query)?.max_response(most);
        let response = self.client.send(&request).await?;
        match errors::of(&response, self.secure()) {
            Some(error) => Err(error),
            None => Ok(Answer(response)),
        }
    }

    /// May the key write? An empty batch changes nothing, and a key that may only read is refused it
    /// (woocommerce.md, section 1).
    pub async fn may_write(&self) -> Result<()> {
        let asked = self.request("wc/v3/orders/batch", &[])?;
        let mut request = Request::post_json(asked.url.clone(), "{}").idempotent(true);
        request.signer.clone_from(&self.signer);
        request.retry = self.retry;
        let response = self.client.send(&request).await?;
        errors::of(&response, self.secure()).map_or(Ok(()), Err)
    }

    /// Sends JSON to `path`; creating something twice is avoided, so an unknown outcome is an error.
    pub async fn post<T: for<'de> Deserialize<'de>>(&self, path: &str, body: &Value) -> Result<T> {
        let answer = self.send(Method::POST, path, &[], Some(body)).await?;
        Ok(answer.0.json::<T>()?.value)
    }

    /// Changes what is at `path`.
    pub async fn put(&self, path: &str, body: &Value) -> Result<()> {
        self.send(Method::PUT, path, &[], Some(body)).await.map(drop)
    }

    /// Deletes what is at `path`, for good.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.send(Method::DELETE, path, &[("force", "true".to_owned())], None).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&'static str, String)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let asked = self.request(path, query)?;
        let mut request = Request::new(method, asked.url.clone());
        if let Some(body) = body {
            request.body = Some(body.to_string().into());
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request.signer.clone_from(&self.signer);
        request.retry = self.retry;
        let response = self.client.send(&request).await?;
        errors::of(&response, self.secure()).map_or(Ok(Answer(response)), Err)
    }

    /// Reads `path` as one JSON value.
    pub async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        query: &[(&'static str, String)],
    ) -> Result<T> {
        let answer = self.get(path, query).await?;
        Ok(answer.0.json::<T>()?.value)
    }
}

/// A successful answer.
#[derive(Debug)]
pub struct Answer(pub Response);

impl Answer {
    /// The elements of a list, each as it was written; and what was odd about the body.
    pub fn list(&self) -> Result<(Vec<&RawValue>, Option<String>)> {
        let json = self.0.list("records")?;
        Ok((json.value, json.note))
    }

    /// The list's total, where the platform or a proxy left the header in place, and where it can be.
    pub fn total(&self) -> Option<u64> {
        self.0.header("x-wp-total")?.trim().parse().ok().filter(|total| *total <= limits::TOTAL)
    }

    /// Bytes of its body.
    pub fn len(&self) -> usize {
        self.0.body.len()
    }

    /// The shop's clock when it answered.
    pub fn served_at(&self) -> Option<Timestamp> {
        let date = httpdate::parse_http_date(self.0.header("date")?).ok()?;
        Timestamp::try_from(date).ok()
    }

    pub fn calls(&self) -> u64 {
        u64::from(self.0.attempts)
    }
}
