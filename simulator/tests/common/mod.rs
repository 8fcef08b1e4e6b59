//! A client for the simulated shop.
#![allow(dead_code)]

use reqwest::{Client, Method};
use serde_json::Value;
use simulator::{Handle, Options, start};

/// A running shop and a client that trusts it.
pub struct Shop {
    pub handle: Handle,
    pub client: Client,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("no JSON ({e}), HTTP {}: {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default()
    }

    pub fn ids(&self) -> Vec<u64> {
        let ids = |v: &Value| v["id"].as_u64().unwrap();
        self.json().as_array().unwrap().iter().map(ids).collect()
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub async fn shop() -> Shop {
    with(Options::default()).await
}

pub async fn with(options: Options) -> Shop {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let handle = start(options).await.unwrap();
    let ca = reqwest::Certificate::from_pem(handle.ca_pem.as_bytes()).unwrap();
    let client = Client::builder()
        .add_root_certificate(ca)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    Shop { handle, client }
}

impl Shop {
    pub fn https(&self) -> &str {
        &self.handle.woocommerce().addresses.https
    }

    pub fn http(&self) -> &str {
        &self.handle.woocommerce().addresses.http
    }

    pub fn key(&self, name: &str) -> (String, String) {
        self.handle.shop.key(name).unwrap()
    }

    /// A call below `/wp-json/wc/v3`, by the read-write key over https.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url = format!("{}/wp-json/wc/v3{path}", self.https());
        let (key, secret) = self.key("read_write");
        let mut request = self.client.request(method, url).basic_auth(key, Some(secret));
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// A call to the control API, below `/woocommerce`.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/woocommerce{path}", self.handle.control);
        let answer = self.send(self.client.request(method, url).json(&body)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// All pages of a list.
    pub async fn all(&self, path: &str, per_page: u32) -> Vec<Value> {
        let mut found = vec![];
        for page in 1.. {
            let glue = if path.contains('?') { '&' } else { '?' };
            let answer = self.get(&format!("{path}{glue}per_page={per_page}&page={page}")).await;
            let items = answer.json().as_array().unwrap().clone();
            if items.is_empty() {
                break;
            }
            found.extend(items);
        }
        found
    }
}

/// A recorded file, below `fixtures/woocommerce`.
pub fn recorded(name: &str) -> String {
    let path = format!("{}/fixtures/woocommerce/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}
