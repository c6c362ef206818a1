//! Messages, badges and shared layouts between Umbriel's processes.
