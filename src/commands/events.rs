//! `aifx events`: what happened, for programs that want to know.

use clap::Subcommand;

use super::Setup;
use crate::{
    db::events::Channel,
    fault::Exit,
    jobs::events::{self, DeliverReport, Tail},
    ui::{Page, Report, Tone, Ui, printable},
};

/// Deliver and show what happened
///
/// Every change writes an event in its own transaction: ml:new_market_data, ml:new_prediction, ml:signal_outcome,
/// ml:training_started, ml:training_completed, ml:model_deployed. Where REDIS_URL is set, each command publishes what waits,
/// at least once and in order a channel; contrib/EVENTS.md documents the messages.
#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Publish all events that wait to Redis
    #[command(after_help = "Example: aifx events deliver --json")]
    Deliver,
    /// Show the last events, whether they were published or not
    #[command(after_help = "Example: aifx events tail --channel ml:model_deployed --follow")]
    Tail(TailArgs),
}

#[derive(Debug, clap::Args)]
struct TailArgs {
    /// Only this channel
    #[arg(long)]
    channel: Option<Channel>,
    /// How many of the last
    #[arg(short = 'n', long, default_value_t = 20)]
    last: u32,
    /// Wait for those that come; with --json each is one document on a line
    #[arg(short, long)]
    follow: bool,
}

impl Report for DeliverReport {
    const SCHEMA: &'static str = "aifx.events-deliver/1";

    fn write(&self, page: &mut Page) {
        page.toned(Tone::Good, format!("{} events delivered", self.delivered));
        if self.busy {
            page.line("another process is delivering");
        }
        if self.backlog.waiting > 0 {
            let oldest = self.backlog.oldest.map(|at| at.format(" (since %F %H:%MZ)").to_string());
            page.field(
                "waiting",
                format!("{}{}", self.backlog.waiting, oldest.unwrap_or_default()),
            );
        }
        if let Some(why) = &self.failed {
            page.toned(Tone::Warn, format!("stopped: redis: {why}"));
        }
    }

    fn exit(&self) -> Exit {
        if self.failed.is_some() { Exit::Database } else { Exit::Done }
    }
}

pub(super) fn run(args: &EventsArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    match &args.command {
        EventsCommand::Deliver => ui.show(&events::deliver(&app)?),
        EventsCommand::Tail(args) => {
            let request = Tail { channel: args.channel, last: args.last, follow: args.follow };
            events::tail(&app, request, &mut |event| {
                let line = if ui.is_json() {
                    serde_json::to_string(event)?
                } else {
                    let data = serde_json::to_string(&event.data)?;
                    let at = event.created_at.format("%F %H:%M:%SZ");
                    printable(&format!("{at}  {:<22}  {data}", event.channel))
                };
                ui.raw(format!("{line}\n").as_bytes())
            })?;
            Ok(Exit::Done)
        }
    }
}
