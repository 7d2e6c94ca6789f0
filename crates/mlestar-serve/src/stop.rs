//! The wish to stop, told to all that serve.

use tokio::sync::watch::Receiver;

/// Waits until the server is to stop.
pub async fn requested(stop: &mut Receiver<bool>) {
    // An error means that the server is gone, which is as good as stopping.
    let _ = stop.wait_for(|stop| *stop).await;
}
