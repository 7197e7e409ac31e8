//! The fleet of a command: the configuration's words on SSH, as the transport wants them.
pub fn identities(_: &crate::config::Config) -> anyhow::Result<()> {
    Ok(())
}
pub struct Nobody;
impl crate::fleet::Fleet for Nobody {
    fn run(
        &mut self,
        _: &crate::fleet::Call,
        _: &[crate::fleet::Task],
        _: &mut dyn FnMut(Vec<crate::fleet::HostEvent>) -> crate::fleet::Flow,
    ) {
    }
}
pub fn fleet(
    _: &crate::config::Config,
    _: &crate::repo::Repo,
    _: &crate::deploy::Prepared,
    _: (),
    _: bool,
) -> anyhow::Result<Nobody> {
    Ok(Nobody)
}
