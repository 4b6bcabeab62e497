//! Tells systemd, or whoever else started the process with `NOTIFY_SOCKET`, that it serves.

use sd_notify::NotifyState;

/// `READY=1`, once. Without a socket nothing is sent.
pub fn ready() {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    match sd_notify::notify(&[NotifyState::Ready]) {
        Ok(()) => tracing::info!("successfully notified init daemon"),
        Err(error) => tracing::error!(%error, "failed to notify systemd for readiness"),
    }
}
