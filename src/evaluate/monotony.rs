//! How long a model says the same to everything: decisions in a row at which every answer was of one class.
//!
//! The length has no fixed threshold: a model that mostly holds does so for hours, and one that trades never does. It is held
//! against the longest run of that class on the days that the model was judged by.

/// What was answered at each instant, of answers in order of time; none where the answers of an instant differ.
fn uniform<T: PartialEq, A: PartialEq + Copy>(
    answers: impl IntoIterator<Item = (T, A)>,
) -> Vec<Option<A>> {
    let mut instants: Vec<Option<A>> = Vec::new();
    let mut now: Option<T> = None;
    for (at, answer) in answers {
        match instants.last_mut() {
            Some(so_far) if now.as_ref() == Some(&at) => {
                *so_far = so_far.filter(|before| *before == answer);
            }
            _ => instants.push(Some(answer)),
        }
        now = Some(at);
    }
    instants
}

/// Most instants in a row at which every answer was `wanted`, of answers in order of time.
pub fn longest_run<T: PartialEq, A: PartialEq + Copy>(
    answers: impl IntoIterator<Item = (T, A)>,
    wanted: A,
) -> usize {
    let instants = uniform(answers);
    let runs = instants.chunk_by(|a, b| a == b).filter(|run| run[0] == Some(wanted));
    runs.map(<[_]>::len).max().unwrap_or(0)
}

/// The run that the last instant ends: how long it is, and of what; none where the last answers differ.
pub fn last_run<T: PartialEq, A: PartialEq + Copy>(
    answers: impl IntoIterator<Item = (T, A)>,
) -> Option<(usize, A)> {
    let instants = uniform(answers);
    let run = instants.chunk_by(|a, b| a == b).last()?;
    Some((run.len(), run[0]?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_of_instants_at_which_all_say_the_same() {
        let of = |text: &str| -> Vec<(usize, char)> {
            text.split(' ')
                .enumerate()
                .flat_map(|(at, said)| said.chars().map(move |c| (at, c)))
                .collect()
        };
        assert_eq!(longest_run(of("hh hh hb hh hh hh bb"), 'h'), 3);
        assert_eq!(longest_run(of("hh hh hb hh hh hh bb"), 'b'), 1);
        assert_eq!(last_run(of("hh hh hb hh hh")), Some((2, 'h')));
        assert_eq!(last_run(of("hh hh hb")), None);
        assert_eq!((longest_run(of("hb bh"), 'h'), longest_run(of("h b b"), 'b')), (0, 2));
        assert_eq!(last_run(Vec::<(i64, u8)>::new()), None);
    }
}
