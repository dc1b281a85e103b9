//! Types of Rust as terms.
#![cfg(feature = "serde")]

#[cfg(test)]
#[cfg(feature = "jiff")]
mod dates;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod shapes;
#[cfg(test)]
#[path = "../suite/support/terms.rs"]
mod terms;
