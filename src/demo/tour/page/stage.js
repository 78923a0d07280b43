// Hands the sign-in on to the dashboard and takes it out of the address.
const { hash } = location;
if (hash) history.replaceState(null, "", location.pathname);
document.getElementById("dashboard").src = `dashboard${hash}`;
