//! The status page: `GET /` for people, `GET /status.json` for programs. Loopback only.

use crate::board::Board;
use axum::{Json, Router, extract::State, http::header, response::IntoResponse, routing::get};
use std::net::SocketAddr;
use std::sync::Arc;
use wire::status::Status;

/// Serves until `stop` resolves.
pub async fn serve(
    listen: SocketAddr,
    board: Arc<Board>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let app = Router::new()
        .route("/", get(page))
        .route("/status.json", get(status))
        .with_state(board);
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|error| {
        std::io::Error::new(
            error.kind(),
            format!("cannot serve the status page on node.admin = {listen}: {error}; choose a free port"),
        )
    })?;
    axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await
}

async fn page() -> impl IntoResponse {
    let html = include_str!("page.html");
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html)
}

async fn status(State(board): State<Arc<Board>>) -> Json<Status> {
    Json(board.status())
}
