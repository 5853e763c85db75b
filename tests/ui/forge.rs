//! Only the engine can say "allow".

fn main() {
    let _forged = deodar::engine::Permit(());
}
