//! The operator and the reporters of a run that keeps a journal: the answers that it holds are given from it, and what
//! is told from it has its own times.

use crate::deploy::{ANSWERERS, Answer, Operator, Question, left_to};
use crate::report::{Event, Reporter};

use super::{Record, Replay};

impl Replay {
    /// The operator of the run.
    pub fn operator<'a>(&self, inner: &'a mut dyn Operator) -> impl Operator + use<'a> {
        JournaledOperator { replay: self.clone(), inner }
    }

    /// The reporter of the run: what it hears of the past has the past's times.
    pub fn reporter<'a>(&self, inner: &'a mut dyn Reporter) -> impl Reporter + use<'a> {
        JournaledReporter { replay: self.clone(), inner }
    }
}

struct JournaledReporter<'a> {
    replay: Replay,
    inner: &'a mut dyn Reporter,
}

impl Reporter for JournaledReporter<'_> {
    fn event(&mut self, event: &Event) {
        let state = self.replay.0.borrow();
        state.telling.report(event, state.past.front(), self.inner);
    }

    fn tick(&mut self) {
        self.inner.tick();
    }

    fn flush(&mut self) {
        self.inner.flush();
    }
}

struct JournaledOperator<'a> {
    replay: Replay,
    inner: &'a mut dyn Operator,
}

impl Operator for JournaledOperator<'_> {
    fn ask(&mut self, question: &Question) -> Answer {
        self.answer(question).0
    }

    fn answer(&mut self, question: &Question) -> (Answer, &'static str) {
        let undoes = self.undoes();
        let is_last = matches!(question, Question::RollBack { .. } | Question::RollBackPast { .. });
        let mut past = self.replay.next_answer();
        // No other question follows this one: a second answer is that of whoever thought better of it.
        while is_last && past.is_some() {
            match self.replay.next_answer() {
                Some(revised) => past = Some(revised),
                None => break,
            }
        }
        match past {
            // A rollback that was declined is what is asked for now.
            Some((Answer::No, _)) if is_last && undoes && self.replay.is_over() => {}
            Some((answer, by)) => {
                let by = ANSWERERS.into_iter().find(|it| Some(*it) == by.as_deref());
                return (answer, by.unwrap_or_else(|| self.inner.answers(question)));
            }
            None => self.replay.break_off(),
        }
        let confirmed = self.replay.0.borrow().confirmed;
        let on_record = self.replay.0.borrow().told.leads_on();
        // A flag answers once, so afterwards it is not known who did.
        let by = self.inner.answers(question);
        let answer = match question {
            Question::RollBack { .. } if confirmed => Answer::Yes,
            Question::RollBackPast { .. } if self.replay.0.borrow().told.went_back() => Answer::Yes,
            // The targets have what came after it.
            Question::Continue { .. } | Question::Inconclusive { .. } if on_record => Answer::Yes,
            _ => self.inner.ask(question),
        };
        if answer != Answer::Unanswered {
            self.replay.write(&[Record::Answered { answer, by: Some(by.to_owned()) }]);
        }
        (answer, by)
    }

    fn interrupted(&mut self) -> bool {
        if self.replay.0.borrow().interrupted {
            return true;
        }
        if self.replay.next_if(|record| matches!(record, Record::Interrupted)).is_some() {
            self.replay.0.borrow_mut().interrupted = true;
            return true;
        }
        if !self.replay.is_over() {
            return false;
        }
        if self.inner.interrupted() {
            self.replay.0.borrow_mut().going_back = true;
        }
        if self.replay.turns_back() {
            self.replay.0.borrow_mut().interrupted = true;
            self.replay.write(&[Record::Interrupted]);
            return true;
        }
        false
    }

    /// An interrupt has nobody to wait for in what is only told once more.
    fn has_interrupted(&self) -> bool {
        let is_told = {
            let state = self.replay.0.borrow();
            state.past.is_empty() && !state.told.leads_on()
        };
        is_told && self.inner.has_interrupted()
    }

    fn undoes(&self) -> bool {
        self.replay.0.borrow().undoes
    }

    left_to!(inner);
}
