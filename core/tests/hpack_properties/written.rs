//! Sections of a writer, which are known by their form once they come again.

use shuntyard_core::fields::FieldWriter;

use super::*;

const PATHS: [&str; 5] = ["/", "/a/longer/path?than=most", "", "/x", "/y"];

/// What one of two writers writes, so many times: lines out of a pool, with paths that change where there are any.
#[derive(Clone, Debug)]
struct Written {
    writer: usize,
    which: usize,
    times: usize,
    path: usize,
    /// Begun and left before each.
    begun: bool,
    table_size: Option<u32>,
}

fn steps() -> impl Strategy<Value = Vec<Written>> {
    let size = prop::option::weighted(0.1, header_table_size());
    let step = (0_usize..2, 0_usize..3, 1_usize..9, 0_usize..5, prop::bool::weighted(0.1), size);
    let step = step.prop_map(|(writer, which, times, path, begun, table_size)| Written {
        writer,
        which,
        times,
        path,
        begun,
        table_size,
    });
    vec(step, 0..20)
}

fn write<'w>(writer: &'w mut FieldWriter, lines: &[Line], path: &str) -> &'w FieldSection {
    writer.restart();
    for line in lines {
        let value = if line.name == b":path" { path.as_bytes() } else { &line.value[..] };
        match line.never_indexed {
            true => writer.push_never_indexed(&line.name, value),
            false => writer.push(&line.name, value),
        }
    }
    writer.section()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::with_cases(400)
    })]

    /// Whoever's they are and however often they came, sections leave as what looking at each of their lines gives.
    #[test]
    fn sections_that_are_written_again_say_the_same(
        pool in vec(vec(prop_oneof![3 => any_line(), 1 => Just(Line::new(":path", "/"))], 0..5), 3),
        steps in steps(),
    ) {
        let (mut writers, mut next) = ([FieldWriter::new(SEED), FieldWriter::new(SEED)], NextHop::new());
        for step in &steps {
            let (lines, writer) = (&pool[step.which], &mut writers[step.writer]);
            if let Some(size) = step.table_size {
                next.set_table_size(size);
            }
            for n in 0..step.times {
                if step.begun {
                    writer.restart();
                    writer.push(b":path", b"/begun");
                }
                let path = PATHS[(step.path + n / 2) % PATHS.len()];
                let sent = write(writer, lines, path);
                let mut by_hand = FieldSection::new();
                for line in lines {
                    let value = if line.name == b":path" { path.as_bytes() } else { &line.value[..] };
                    let made = FieldLine::new(&line.name, value, SEED);
                    by_hand.push(if line.never_indexed { made.never_indexed() } else { made });
                }
                prop_assert_eq!(sent, &by_hand);
                prop_assert_eq!((sent.size(), sent.len()), (by_hand.size(), by_hand.len()));
                prop_assert_eq!(sent.get(b":path"), by_hand.get(b":path"));
                next.gets(sent, &by_hand);
            }
        }
    }
}

/// A form is taken for no other, though both say the same but for their path, and neither does a section pass for its own form.
#[test]
fn what_is_altered_behind_a_writer_is_another_section() {
    let (mut writer, mut encoder) = (FieldWriter::new(SEED), Encoder::new(4096));
    let lines = [Line::new(":method", "GET"), Line::new(":path", "/"), Line::new("a", "b")];
    let mut decoder = Decoder::new(4096, SEED, 1);
    for n in 0..8 {
        let sent = write(&mut writer, &lines, &format!("/{n}")).clone();
        assert_eq!(decoded(&mut decoder, &encoded(&mut encoder, &sent)), sent);
        let mut altered = sent.clone();
        altered.push(FieldLine::new(b"c", b"d", SEED));
        let mut without = sent.clone();
        without.retain(|line| line.name != b":path");
        for other in [&altered, &without, &sent] {
            assert_eq!(decoded(&mut decoder, &encoded(&mut encoder, other)), *other, "{n}");
        }
    }
}
