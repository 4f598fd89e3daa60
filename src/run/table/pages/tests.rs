use std::io::Write;

use super::*;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Encodes an i32 field whose number is `more` above the last one.
fn number(more: u8, value: i64) -> Vec<u8> {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    [vec![more << 4 | I32], varint(zigzag)].concat()
}

/// Writes a file whose schema is the root and a chain of `depth` columns, with a declared count
/// of `claimed`.
fn chain(depth: usize, claimed: u64) -> File {
    let element = |children: i64| [vec![0x48, 1, b'x'], number(1, children), vec![0]].concat();
    let mut footer = number(1, 1);
    footer.extend([1 << 4 | LIST, 0xF0 | STRUCT]);
    footer.extend(varint(claimed));
    for level in 0..=depth {
        footer.extend(element(i64::from(level < depth)));
    }
    footer.push(0);
    let mut file = tempfile::tempfile().unwrap();
    let length = (footer.len() as u32).to_le_bytes();
    file.write_all(&[b"PAR1", &footer[..], &length, b"PAR1"].concat())
        .unwrap();
    file
}

#[test]
fn a_schema_has_a_depth_and_as_many_columns_as_it_says() {
    assert_eq!(check_schema(&mut chain(40, 41)), Ok(()));
    for depth in [100, 200_000] {
        let error = check_schema(&mut chain(depth, depth as u64 + 1)).unwrap_err();
        assert!(error.contains("nested more than 64"), "{error}");
    }
    for claimed in [43, u64::MAX] {
        let error = check_schema(&mut chain(40, claimed)).unwrap_err();
        assert!(error.contains("end too soon"), "{error}");
    }
}

#[test]
fn a_header_says_what_is_allocated_for_its_page() {
    const MOST: i64 = i32::MAX as i64;
    // Uncompressed, compressed, a CRC; a dictionary's count and encoding, and whether it is
    // sorted.
    let dictionary = [number(1, 1_000_000), number(1, 0), vec![0x11, 0]].concat();
    let header = [
        number(1, 2),
        number(1, MOST),
        number(1, 77),
        number(1, -5),
        vec![3 << 4 | STRUCT],
        dictionary,
        vec![0],
    ]
    .concat();
    let mut compact = Compact { bytes: &header };
    let found = page(&mut compact).unwrap();
    assert_eq!((found.uncompressed, found.compressed), (MOST as u64, 77));
    assert_eq!((found.values, found.dictionary), (0, 1_000_000));
    assert!(compact.bytes.is_empty());
    for end in 0..header.len() {
        assert!(
            page(&mut Compact {
                bytes: &header[..end]
            })
            .is_none(),
            "{end}"
        );
    }
    // Data with statistics, which are skipped: texts with a length.
    let statistics = [vec![0x18, 3], b"max".to_vec(), vec![0x18, 0, 0]].concat();
    let data = [
        number(1, 9),
        number(1, 0),
        number(1, 3),
        number(1, 3),
        vec![1 << 4 | STRUCT],
        statistics,
        vec![0],
    ];
    let header = [
        number(1, 0),
        number(1, 5),
        number(1, 5),
        vec![2 << 4 | STRUCT],
        data.concat(),
        vec![0],
    ]
    .concat();
    assert_eq!(page(&mut Compact { bytes: &header }).unwrap().values, 9);
    // A negative size, and a text that is longer than the header.
    for header in [[number(2, -1), vec![0]].concat(), vec![0x98, 100, 0]] {
        assert!(page(&mut Compact { bytes: &header }).is_none());
    }
    assert!(largest(77, Compression::SNAPPY) < 4096);
    assert!(largest(77, Compression::ZSTD(Default::default())) < 5 << 20);
}
