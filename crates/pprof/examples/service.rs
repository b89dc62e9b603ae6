//! A service on axum with its heap profiles and metrics: `cargo run -p jemoxide-pprof --example service`, then
//!
//! ```text
//! curl -o heap.pb.gz 'http://127.0.0.1:8081/debug/pprof/heap?seconds=10'
//! open http://127.0.0.1:8081/debug/pprof/heap/flamegraph?seconds=10
//! curl http://127.0.0.1:8081/metrics
//! ```

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jemoxide_pprof::Handlers;

#[global_allocator]
static ALLOCATOR: jemoxide::Jemoxide = jemoxide::Jemoxide;

/// What makes an answer of ours one of axum's.
async fn diagnose(State(handlers): State<Handlers>, uri: Uri) -> Response {
    // A profile takes as long as it takes: not on a thread that others wait for.
    let answer = tokio::task::spawn_blocking(move || {
        handlers.answer(uri.path(), uri.query().unwrap_or_default())
    });
    match answer.await {
        Ok(Some(answer)) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or_default();
            let mut response = (status, answer.body).into_response();
            for (name, value) in answer.headers {
                if let Ok(value) = value.parse() {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The pages, for an address that is not public.
pub(crate) fn diagnostics(handlers: Handlers) -> Router {
    Router::new()
        .route("/debug/pprof/{*rest}", get(diagnose))
        .route("/metrics", get(diagnose))
        .with_state(handlers)
}

/// What the service is there for.
pub(crate) fn service() -> Router {
    Router::new().route("/", get(|| async { "x".repeat(100_000) }))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let public = tokio::net::TcpListener::bind(address(8080)).await?;
    let private = tokio::net::TcpListener::bind(address(8081)).await?;
    let diagnostics = diagnostics(Handlers::new());
    let (one, other) = tokio::join!(async { axum::serve(public, service()).await }, async {
        axum::serve(private, diagnostics).await
    },);
    one.and(other)
}
