//! Decoding and encoding, for those who change the codec: `cargo bench --package bench`.

use std::hint::black_box;

use bench::{codec, payload};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benches(criterion: &mut Criterion) {
    for payload in payload::payloads() {
        let mut group = criterion.benchmark_group(payload.name);
        group.throughput(Throughput::Bytes(payload.bytes.len() as u64));
        group.bench_function("decode", |bencher| {
            bencher.iter(|| codec::decode(black_box(&payload.bytes)));
        });
        let term = codec::decode(&payload.bytes);
        group.bench_function("encode", |bencher| {
            bencher.iter(|| etf::encode(black_box(&term)).unwrap());
        });
    }
}

criterion_group!(codec, benches);
criterion_main!(codec);
