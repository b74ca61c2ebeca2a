"""Find, probe and compare video files."""
