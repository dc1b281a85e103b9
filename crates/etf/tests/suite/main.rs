//! What holds for every term: against vectors that OTP wrote, and as properties.

#[cfg(test)]
mod depth;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod support;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod view;
